"""Objects that models and losses hold, which answer oddly when they are looked at: no traceback is the answer."""

import enum
import io
import threading
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, held, problem
from torch import Tensor, nn

import thalweg


class Config:
    """Settings by attribute, as many projects write it; of what is missing it raises KeyError."""

    def __init__(self, **settings: Any) -> None:
        self.__dict__["settings"] = settings

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["settings"][name]


class Lazy(Mapping[str, Any]):
    """Settings of which one is mandatory and missing."""

    def __getitem__(self, name: str) -> Any:
        if name == "missing":
            raise ValueError("mandatory value missing")
        return 1.0

    def __iter__(self) -> Iterator[str]:
        return iter(["scale", "missing"])

    def __len__(self) -> int:
        return 2


class Silent:
    """It cannot be printed, compared or hashed."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


class Pretends:
    """A proxy that says what it is of only when it is connected."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise ConnectionError("not connected")


def chain(length: int) -> Any:
    link: Any = None
    for _ in range(length):
        link = types.SimpleNamespace(before=link)
    return link


def nested(length: int) -> Any:
    inner: Any = []
    for _ in range(length):
        inner = [inner]
    return inner


def composed(length: int) -> Callable[[Any], Any]:
    def one(x: Any) -> Any:
        return x

    made = one
    for _ in range(length):
        made = (lambda f: lambda x: f(x))(made)
    return made


def circle() -> list[Any]:
    held: list[Any] = []
    held.append(held)
    return held


class Colour(enum.Enum):
    RED = 1


OBJECTS: dict[str, Callable[[], Any]] = {
    "settings that raise KeyError for what is missing": lambda: Config(scale=1.0),
    "settings of which one cannot be read": Lazy,
    "an object that cannot be printed": Silent,
    "a proxy that is not connected": lambda: [Pretends()],
    "a chain of 400 objects": lambda: chain(400),
    "400 lists in each other": lambda: nested(400),
    "400 functions around each other": lambda: composed(400),
    "a list that holds itself": circle,
    "a weak reference": lambda: weakref.ref(Colour),
    "a lock, a thread and an event": lambda: [threading.Lock(), threading.Thread(), threading.Event()],
    "a kind of colour": lambda: Colour.RED,
    "a file that is closed": lambda: told_closed(io.StringIO()),
    "another model": lambda: nn.Linear(2, 2),
    "a sparse tensor": lambda: torch.eye(3).to_sparse(),
    "a tensor without values": lambda: torch.empty(3, device="meta"),
    "a module": lambda: F,
    "a set of tensors": lambda: {torch.zeros(2), torch.ones(2)},
}  # fmt: skip


def told_closed(file: io.StringIO) -> io.StringIO:
    file.close()
    return file


@pytest.mark.parametrize("name", [*OBJECTS])
def test_a_model_that_holds(name: str) -> None:
    class Holds(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 1)
            self.held = OBJECTS[name]()

    held(Holds, optimizers=["sgd"], options={"learning_rates": [0.02]}, epochs=1)


@pytest.mark.parametrize("name", ["settings that raise KeyError for what is missing", "a chain of 400 objects"])
def test_a_loss_that_closes_over(name: str) -> None:
    settings = OBJECTS[name]()

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets) if settings is not None else outputs.sum()

    held(lambda: nn.Linear(4, 1), loss=loss, optimizers=["sgd"], options={"learning_rates": [0.02]}, epochs=1)


def test_a_model_that_cannot_be_printed() -> None:
    class Unprinted(nn.Linear):
        def extra_repr(self) -> str:
            raise RuntimeError("no text")

    held(lambda: Unprinted(4, 1), epochs=1)


def test_a_model_whose_state_cannot_be_told() -> None:
    class Untold(nn.Linear):
        def get_extra_state(self) -> Any:
            raise RuntimeError("no state yet")

    try:
        held(lambda: Untold(4, 1), epochs=1)
    except thalweg.InputError as error:
        assert "no state yet" in str(error)  # noqa: PT017 - either is right


def test_a_scripted_model() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(x)

    def model() -> nn.Module:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.script(Plain().double())

    held(model, own=True)


def test_a_model_as_a_graph() -> None:
    held(lambda: torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))))


def test_a_model_that_defines_its_own_call() -> None:
    class Called(nn.Linear):
        def __call__(self, x: Tensor) -> Tensor:
            return super().__call__(x) * 0.5

    held(lambda: Called(4, 1))


def test_a_model_whose_outputs_are_of_a_class_of_its_own() -> None:
    class Outputs:
        def __init__(self, logits: Tensor) -> None:
            self.logits = logits

    class Wraps(nn.Linear):
        def forward(self, x: Tensor) -> Outputs:
            return Outputs(super().forward(x))

    metric = thalweg.Metric(lambda o, t: F.mse_loss(o.logits, t), higher_is_better=False)
    with pytest.raises(thalweg.InputError, match="must return a tensor, or several, got Outputs"):
        compared(problem(lambda: Wraps(4, 1), loss=lambda o, t: F.mse_loss(o.logits, t), metric=metric))


@pytest.mark.parametrize("kind", ["a dataclass", "a named tuple", "a dictionary with None and a text"])
def test_a_model_that_returns(kind: str) -> None:
    import collections
    import dataclasses

    pair = collections.namedtuple("pair", "y h")

    @dataclasses.dataclass
    class Data:
        y: Tensor
        h: Tensor

    class Returns(nn.Linear):
        def forward(self, x: Tensor) -> Any:
            y = super().forward(x)
            if kind == "a dataclass":
                return Data(y, x)
            return pair(y, x) if kind == "a named tuple" else {"y": y, "h": None, "name": "text"}

    def of(outputs: Any, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs["y"] if isinstance(outputs, dict) else outputs.y, targets)

    try:
        held(lambda: Returns(4, 1), loss=of, metric=thalweg.Metric(of, higher_is_better=False))
    except thalweg.InputError as error:
        assert kind == "a dataclass"
        assert "must return a tensor, or several, got Data" in str(error)  # noqa: PT017
