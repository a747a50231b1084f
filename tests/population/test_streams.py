"""Training on a stream of batches: that of the permutations in memory gives the same runs, to the last bit."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_checkpoints import assert_same, outcomes, planned, stopped
from torch import Tensor

from problems import finished, points, tiny, train_all
from thalweg.errors import InputError
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.recipes.imported import Imported
from thalweg.regularization.stopping import EarlyStopping
from thalweg.workloads.content import content
from thalweg.workloads.stream import Stream
from thalweg.workloads.workload import Workload

X, Y = points(330, 1, torch.float32)


def shuffled(seed: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of 16 that permutations in memory give."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(number + 1):
        order = torch.randperm(len(X), generator=generator)
    for index in order.split(16):
        yield X[index], Y[index]


def members(*seeds: int, names: tuple[str, ...] = ("adam", "sgd")) -> list[Member]:
    chosen = [recipe(name) for name in names]
    return [Member(of, of.resolve({"lr": 0.01}), seed) for of in chosen for seed in seeds]


def streaming(**changes: Any) -> Workload:
    return tiny(train=Stream(shuffled, len(X)), **changes)


@pytest.mark.parametrize("execution", ["population", "loop"])
@pytest.mark.parametrize("seeds", [(3,), (0, 1)])
@pytest.mark.parametrize("changes", [{}, {"drop_last": True}, {"steps": 50, "evaluate_every": 7}])
def test_a_stream_equals_data_in_memory(execution: str, seeds: tuple[int, ...], changes: dict[str, Any]) -> None:
    chosen = members(*seeds)
    ours = train_all(streaming(**changes), chosen, execution=execution, keep_weights=True, test=True)
    theirs = train_all(tiny(**changes), chosen, execution=execution, keep_weights=True, test=True)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.curve, a.test_metric, a.initial_loss) == (b.curve, b.test_metric, b.initial_loss)
        assert a.train_metric == pytest.approx(b.train_metric, rel=1e-12)  # over chunks of other sizes
        assert all(torch.equal(a.weights[name], b.weights[name]) for name in b.weights)


def test_early_stopping() -> None:
    stopping = EarlyStopping(patience=1)
    _, ours = finished(streaming(epochs=8), members(0, 1), early_stopping=stopping)
    _, theirs = finished(tiny(epochs=8), members(0, 1), early_stopping=stopping)
    assert {i: o.curve for i, o in ours.items()} == {i: o.curve for i, o in theirs.items()}


@pytest.mark.parametrize("execution", ["population", "loop"])
def test_a_resumed_run_reads_again_up_to_where_it_was(execution: str, tmp_path: Path) -> None:
    chosen = members(0, 1)[:1] if execution == "loop" else members(0, 1)
    planned_job = planned(streaming(), execution)
    whole = outcomes(planned_job, chosen)
    stopped(planned_job, chosen, tmp_path, 30)
    assert any(tmp_path.iterdir())
    assert_same(outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path)), whole)


def test_ignored_labels_are_weighed_as_in_memory() -> None:
    """A mean of means of batches would weigh them otherwise."""
    y = torch.where(torch.arange(len(Y)) % 3 > 0, Y, -100)

    def some(seed: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.arange(len(X)).split(16):
            yield X[index], y[index]

    chosen = members(0, names=("sgd",))
    (ours,) = train_all(tiny(train=Stream(some, len(X))), chosen)
    assert ours.train_metric is not None
    right = round(ours.train_metric * int((y != -100).sum()))
    assert ours.train_metric == pytest.approx(right / int((y != -100).sum()), rel=1e-12)


def no_batch(seed: int, number: int) -> Iterator[Any]:
    return iter(())


def not_finite(seed: int, number: int) -> Iterator[Any]:
    yield X[:16] / 0, Y[:16]


@pytest.mark.parametrize(
    ("epoch", "said"),
    [
        (no_batch, r"The stream of train yields no batch in epoch 0 of seed 0\."),
        (not_finite, r"train: X holds NaN or infinity in 16 of its 16 samples"),
        (lambda seed, number: [3], r"train must be a pair \(X, y\) of tensors, or a dict .* got int\."),
    ],
)
def test_what_a_stream_may_not_yield(epoch: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        train_all(tiny(train=Stream(epoch, 330)), members(0))


@pytest.mark.parametrize("samples", [0, -1, 2.5, True, None])
def test_a_length_is_declared(samples: Any) -> None:
    with pytest.raises(InputError, match="samples must be a whole number of at least 1, got"):
        Stream(shuffled, samples)


def test_only_train_may_be_a_stream() -> None:
    with pytest.raises(InputError, match=r"validation must be a pair .* only train may be a stream"):
        tiny(validation=Stream(shuffled, 330))


def test_its_content_is_that_of_its_function_and_first_batch() -> None:
    def turned(seed: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in shuffled(seed, number):
            yield -x, y

    whole, other = streaming(), replace(streaming(), train=Stream(turned, len(X)))
    assert content(whole, "")["data"] == content(streaming(), "")["data"]
    assert content(whole, "")["data"] != content(other, "")["data"]


class Scaling(torch.nn.Module):
    """Writes into its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x.mul_(0.5))  # type: ignore[no-any-return]


def test_a_model_that_writes_into_its_inputs_changes_no_batch() -> None:
    kept = [(X[i : i + 16].clone(), Y[i : i + 16].clone()) for i in range(0, 320, 16)]
    workload = tiny(model=Scaling, train=Stream(lambda seed, number: kept, 320))
    first, again = train_all(workload, members(0, names=("sgd",)) * 2)
    assert first.curve == again.curve
    assert all(torch.equal(x, X[16 * i : 16 * i + 16]) for i, (x, _) in enumerate(kept))


def test_batches_that_drop_last_leaves_nothing_of() -> None:
    def small(seed: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.arange(len(X)).split(8):
            yield X[index], Y[index]

    with pytest.raises(
        InputError, match=r"yields no batch of 16 samples, and drop_last drops smaller ones, in epoch 0"
    ):
        train_all(tiny(train=Stream(small, len(X)), drop_last=True), members(0))


@pytest.mark.parametrize("names", [("adam",), ("torch.optim:SGD",)])
def test_batches_of_another_kind_later_are_refused_however_they_train(names: tuple[str, ...]) -> None:
    def turning(seed: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in shuffled(seed, number):
            yield x, y.int() if number else y

    chosen = [Member(of, of.resolve({"lr": 0.01}), 0) for of in map(found, names)]
    said = r"yields tensors float32 of 2 dimensions and int32 of 1 dimensions in epoch 1 of seed 0, and began with"
    with pytest.raises(InputError, match=said):
        train_all(tiny(train=Stream(turning, len(X))), chosen)


def found(name: str) -> Any:
    return Imported(name) if ":" in name else recipe(name)
