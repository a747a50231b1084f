"""The check of a problem: its facts by hand, and what is doubtful is said."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

import thalweg
from cli_process import Program
from problems import tiny
from scope import conformance_only, few
from thalweg.studies.checkup import _model

X = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
LABELS = (torch.arange(120) % 4 == 0).long()
NUMBERS = X[:, :1] * 3
DEVIATION = (NUMBERS - NUMBERS.median()).abs().mean()


class Constant(nn.Module):
    """Cannot tell samples apart."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.bias.expand(len(x), 2)


def large() -> nn.Module:
    model = nn.Linear(6, 2)
    with torch.no_grad():
        model.weight.mul_(100)
    return model


def facts(**given: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {"name": "w", "model": lambda: nn.Linear(6, 2), "train": (X, LABELS), "epochs": 1, **given}
    lines = thalweg.check(thalweg.Workload(validation=whole["train"], **whole))
    return {line.label: line for line in lines}


def test_facts() -> None:
    found = facts()
    assert found["model"].text == "14 parameters: 1 Linear (14)"
    assert found["data"].text == "120 train and 120 validation samples; batches of 32, 4 steps an epoch"
    assert found["samples"].text == "float32 [6] and y int64 []"
    assert found["classes"].text == "2, of 30 to 90 samples"
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert found["start"].text.endswith(f"; a constant answer has {entropy:.3g}")
    assert found["trains"].text == "many runs at once, vectorized; native code is made for longer studies only"
    assert found["plan"].text.startswith("about 539 runs in ")
    assert not any(line.doubt for line in found.values() if line.label != "by heart")


@pytest.mark.parametrize(
    ("given", "expected"),
    few([
        ({"loss": F.mse_loss, "train": (X, NUMBERS), "model": lambda: nn.Linear(6, 1)}, NUMBERS.var(correction=0)),
        ({"loss": nn.L1Loss(), "train": (X, NUMBERS), "model": lambda: nn.Linear(6, 1)}, DEVIATION),
        (
            {"loss": nn.BCEWithLogitsLoss(), "train": (X, LABELS.float()[:, None]), "model": lambda: nn.Linear(6, 1)},
            torch.tensor(-0.25 * math.log(0.25) - 0.75 * math.log(0.75)),
        ),
    ]),
)  # fmt: skip
def test_the_loss_of_a_constant_answer(given: dict[str, Any], expected: Tensor) -> None:
    assert facts(**given)["start"].text.endswith(f"; a constant answer has {expected.item():.3g}")


SOFT = torch.stack([LABELS * 0.8 + 0.1, 1 - LABELS * 0.5], 1)


@conformance_only
def test_the_loss_of_a_constant_answer_to_soft_labels() -> None:
    """Of several outputs: the least that a constant can reach, found by trying."""
    tried = torch.logit(torch.linspace(0.001, 0.999, 9999))
    each = [F.binary_cross_entropy_with_logits(tried, y.expand(9999), reduction="none") for y in SOFT.flatten()]
    least = torch.stack(each).view(120, 2, -1).mean(0).min(1).values.mean()
    text = facts(loss=nn.BCEWithLogitsLoss(), train=(X, SOFT), metric="loss")["start"].text
    assert text.endswith(f"; a constant answer has {least.item():.3g}")


@pytest.mark.parametrize(
    "loss",
    few([
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0])), nn.CrossEntropyLoss(label_smoothing=0.1),
        partial(F.cross_entropy, label_smoothing=0.1), lambda outputs, targets: F.cross_entropy(outputs, targets),
    ]),
)  # fmt: skip
def test_nothing_is_said_of_a_constant_answer_where_it_is_not_known(loss: Any) -> None:
    assert "constant answer" not in facts(loss=loss)["start"].text


@conformance_only
def test_doubts() -> None:
    assert "begins far from a constant answer" in facts(model=large)["start"].doubt
    assert "hardly learns a single batch" in facts(model=Constant, train=(X, torch.arange(120) % 2))["by heart"].doubt
    rare = (torch.arange(120) % 40 == 0).long()
    found = facts(train=(X, rare))["classes"]
    assert "the rarest is 2.5% of all" in found.text
    assert "accuracy says little of rare classes" in found.doubt


def test_how_it_trains_and_why() -> None:
    class Branching(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    text = facts(model=lambda: Branching(6, 2))["trains"].text
    assert text.startswith("run by run, in the plain loop: ")
    assert "test_check.py:" in text


@conformance_only
def test_a_stream_and_a_step() -> None:
    stream = thalweg.Stream(lambda seed, number: [(X[:60], LABELS[:60]), (X[60:], LABELS[60:])], 120)
    model = lambda: nn.Linear(6, 2)  # noqa: E731
    of = thalweg.Workload(name="w", model=model, train=stream, validation=(X, LABELS), epochs=1, batch_size=60)
    assert "streamed" in {fact.label: fact for fact in thalweg.check(of)}["data"].text
    step = facts(step=lambda model, batch: F.mse_loss(model(batch[0])[:, :1], batch[0][:, :1]))
    assert "constant answer" not in step["start"].text


def test_a_penalty_that_grows_ends_with_the_batch_learned_by_heart() -> None:
    """Whose steps are more than those of a run: its share of training stays within [0, 1] all the same."""
    shares = list[float]()

    def step(model: Any, batch: Any, progress: Any) -> Tensor:
        if not torch._C._functorch.is_functorch_wrapped_tensor(progress.share):
            shares.append(float(progress.share.detach()))
        return F.cross_entropy(model(batch[0]), batch[1]) / (1.2 - progress.share)

    found = facts(step=step, batch_size=120)  # a run of one step
    assert "inf" not in found["by heart"].text
    assert max(shares) == 1.0


def test_nothing_is_said_of_a_constant_answer_to_samples_drawn_by_weights() -> None:
    sampler = WeightedRandomSampler((1.0 + 2.0 * LABELS).tolist(), 120)
    loader = DataLoader(TensorDataset(X, LABELS), batch_size=30, sampler=sampler)
    of = thalweg.Workload(name="w", model=lambda: nn.Linear(6, 2), train=loader, validation=(X, LABELS), epochs=1)
    (start,) = [line.text for line in thalweg.check(of) if line.label == "start"]
    assert "constant answer" not in start


def test_from_the_command_line(tmp_path: Path) -> None:
    done = Program("check", "digits", "--epochs", "2", cwd=tmp_path).end()
    assert done.status == 0, done.errors
    labels = [line.split()[0] for line in done.output.splitlines()]
    assert labels[:4] == ["model", "data", "samples", "classes"]
    assert "trains    many runs at once, in native code" in done.output
    refused = Program("check", "nothing.py", cwd=tmp_path).end()
    assert (refused.status, "does not exist" in refused.errors) == (2, True)


def test_nothing_is_left_behind() -> None:
    before = torch.get_rng_state()
    thalweg.check(tiny(epochs=1))
    assert torch.equal(before, torch.get_rng_state())


def test_a_shared_parameter_is_counted_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    assert _model(model) == "15 parameters: 2 Linear (15)"
