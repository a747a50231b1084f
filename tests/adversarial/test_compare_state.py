"""State that models keep in unusual places and that takes effect late: what is compared is what runs by hand."""

import array
import contextlib
import ctypes
import datetime
import fractions
import functools
import io
import itertools
import queue
import types
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, executions, held, problem
from torch import Tensor, nn

LATE = 12
"""Training calls after which a model answers otherwise: in the third epoch of five steps."""

SETTINGS = types.ModuleType("settings")
"""A module of the user's that holds settings."""


class Late(nn.Module):
    """A layer that is a tenth as strong from a late training call on, counted by `kind`."""

    def __init__(self, kind: "Kind") -> None:
        super().__init__()
        self.out, self.count, self.kind = nn.Linear(4, 1), kind.begin(), kind

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.count = self.kind.next(self.count)
        return self.out(x) * (1.0 if self.kind.read(self.count) <= LATE else 0.1)


@dataclass(frozen=True)
class Kind:
    """Where a number is kept: how it begins, what comes after it, how it is read."""

    begin: Callable[[], Any]
    next: Callable[[Any], Any]
    read: Callable[[Any], float] = float


def put(container: Any, value: Any, place: Any = 0) -> Any:
    container[place] = value
    return container


def told(holder: Any, name: str, value: Any) -> Any:
    setattr(holder, name, value)
    return holder


def through(line: Any) -> Any:
    line.put(line.get() + 1)
    return line


def written(file: io.BytesIO) -> io.BytesIO:
    file.write(b".")
    return file


def read_on(file: Any) -> Any:
    next(file)
    return file


class Slotted:
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


@dataclass(slots=True)
class Record:
    n: int = 0


def deep(n: int) -> dict[str, Any]:
    """A number behind many lists."""
    return {"words": [[i] for i in range(25_000)], "state": types.SimpleNamespace(n=n)}


def large() -> Any:
    return np.zeros(2_200_000)


DAY = datetime.datetime(2000, 1, 1)

SEEN = {
    "slots": Kind(Slotted, lambda c: told(c, "n", c.n + 1), lambda c: c.n),
    "a dataclass with slots": Kind(Record, lambda c: told(c, "n", c.n + 1), lambda c: c.n),
    "a number of numpy": Kind(lambda: np.int64(0), lambda c: c + np.int64(1)),
    "a text": Kind(str, lambda c: c + ".", len),
    "bytes": Kind(bytes, lambda c: c + b".", len),
    "a set": Kind(set, lambda c: c | {len(c)}, len),
    "a chain of iterators": Kind(
        lambda: [itertools.chain(range(10**6)), 0], lambda c: [c[0], next(c[0]) + 1], lambda c: c[1]
    ),
    "a function around a function": Kind(lambda: lambda: 0, lambda c: (lambda n: lambda: n)(c() + 1), lambda c: c()),
    "a partial": Kind(
        lambda: functools.partial(int, 0), lambda c: functools.partial(int, c() + 1), lambda c: c()
    ),
    "a tensor in a list in a dictionary": Kind(
        lambda: {"n": [torch.zeros(())]}, lambda c: put(c, [c["n"][0] + 1], "n"), lambda c: float(c["n"][0])
    ),
}  # fmt: skip

ODD = {
    "a Decimal": Kind(lambda: Decimal(0), lambda c: c + 1),
    "a Fraction": Kind(lambda: fractions.Fraction(0), lambda c: c + 1),
    "a date": Kind(lambda: DAY, lambda c: c + datetime.timedelta(days=1), lambda c: (c - DAY).days),
    "a bytearray": Kind(lambda: bytearray(1), lambda c: put(c, c[0] + 1), lambda c: c[0]),
    "an array of the standard library": Kind(
        lambda: array.array("i", [0]), lambda c: put(c, c[0] + 1), lambda c: c[0]
    ),
    "a number of C": Kind(lambda: ctypes.c_int(0), lambda c: told(c, "value", c.value + 1), lambda c: c.value),
    "a range": Kind(lambda: range(0), lambda c: range(len(c) + 1), len),
    "a queue": Kind(lambda: told(queue.Queue(), "n", 0), lambda c: told(c, "n", c.n + 1), lambda c: c.n),
    "a file in memory": Kind(io.BytesIO, written, lambda c: c.tell()),
    "an open file": Kind(
        lambda: [io.StringIO("x\n" * 99), 0], lambda c: [read_on(c[0]), c[1]], lambda c: c[0].tell() / 2
    ),
    "what comes behind many lists": Kind(
        lambda: deep(0), lambda c: put(c, told(c["state"], "n", c["state"].n + 1), "state"), lambda c: c["state"].n
    ),
    "an array of 17 megabytes": Kind(large, lambda c: put(c, c[-1] + 1, -1), lambda c: c[-1]),
}  # fmt: skip


BEYOND = {"what comes behind many lists", "an array of 17 megabytes"}
"""More than is looked at, which is noted."""


@pytest.mark.parametrize("name", [*SEEN, *ODD])
def test_a_count_that_takes_effect_late_kept_in(name: str) -> None:
    kind = (SEEN | ODD)[name]
    if name in BEYOND:
        result = compared(problem(lambda: Late(kind)))
        assert any("than is looked at" in note for note in result.study.notes)
    else:
        held(lambda: Late(kind))


def test_a_count_that_takes_effect_late_kept_in_a_module_of_the_users() -> None:
    """All runs share it, so none is held to a training by hand: that it is kept must be said."""
    SETTINGS.calls = 0

    class Reads(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            SETTINGS.calls += 1
            return super().forward(x) * (1.0 if SETTINGS.calls < 10**6 else 0.1)

    result = held(lambda: Reads(4, 1))
    assert executions(result) == {"loop"}
    assert any("share state" in note for note in result.study.notes)


def test_a_cache_that_only_remembers_is_no_reason_to_be_wrong() -> None:
    @functools.cache
    def table(size: int) -> Tensor:
        return torch.arange(size, dtype=torch.float64) / size

    class Encoded(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + table(x.shape[1]))

    held(lambda: Encoded(4, 1))


def test_hidden_state_carried_from_batch_to_batch() -> None:
    class Carries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out, self.last = nn.Linear(6, 2), nn.Linear(2, 1), torch.zeros(2, dtype=torch.float64)

        def forward(self, x: Tensor) -> Tensor:
            h = torch.tanh(self.cell(torch.cat([x, self.last.expand(len(x), 2)], 1)))
            if self.training:
                self.last = h.mean(0).detach()
            return self.out(h)

    held(Carries)


def test_buffers_that_the_forward_pass_assigns() -> None:
    class Assigns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(4, 1)
            self.register_buffer("steps", torch.tensor(0), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.steps = self.steps + 1
            return self.out(x) / (1 + 0.1 * self.steps)

    held(Assigns)


def test_a_momentum_encoder_beside_the_model() -> None:
    """Parameters that are no one's to train, moved after the others in every forward pass."""

    class Momentum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.online, self.slow, self.out = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(3, 1)
            self.slow.load_state_dict(self.online.state_dict())
            self.slow.requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                with torch.no_grad():
                    for slow, fast in zip(self.slow.parameters(), self.online.parameters(), strict=True):
                        slow.mul_(0.9).add_(fast, alpha=0.1)
            return self.out(torch.tanh(self.online(x)) + torch.tanh(self.slow(x)))

    held(Momentum)


def test_a_model_that_refuses_to_be_copied() -> None:
    class Holds(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 1)
            self.exits = contextlib.ExitStack()

        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("not to be copied")

    held(Holds)


def test_a_loss_whose_weight_changes_late() -> None:
    """The loss is everybody's: whatever it finds, it must say that runs share it."""
    calls = array.array("q", [0])

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        calls[0] += 1
        return F.mse_loss(outputs, targets) * (1.0 if calls[0] < 10**6 else 2.0)

    result = held(lambda: nn.Linear(4, 1), loss=loss)
    assert any("share state" in note for note in result.study.notes)
