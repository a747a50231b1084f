"""Parameters that some steps do not reach: skipped as torch skips a gradient that is `None`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from problems import EVERYTHING, tiny, train_all
from thalweg.execution import dispatch
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member
from thalweg.population.updates.partial_updates import PartialUpdates
from thalweg.recipes.catalogue import recipe

CPU, ON = torch.device("cpu"), np.ones(1, np.bool_)
SHAPES = {"a": (4, 3), "b": (3,), "c": (2, 3)}
STEPS = 40


def reached(step: int) -> list[str]:
    """All at the first steps; later each by a rhythm of its own, and once nothing."""
    if step <= 5:
        return [*SHAPES][:2]
    return [name for k, name in enumerate(SHAPES, 2) if step % k and step != 30]


def gradients(step: int) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(step)
    all_of = {n: torch.randn(shape, generator=source, dtype=torch.float64) for n, shape in SHAPES.items()}
    return {name: all_of[name] for name in reached(step)}


def start() -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(99)
    return {n: torch.randn(shape, generator=source, dtype=torch.float64) for n, shape in SHAPES.items()}


def stepped(updates: PartialUpdates, first: int, last: int) -> None:
    updates.plan(first, last - first + 1)
    for step in range(first, last + 1):
        updates.step(step, {name: g[None] for name, g in gradients(step).items()}, ON)


def ours(name: str, **values: Any) -> tuple[PartialUpdates, dict[str, Tensor]]:
    parameters = {n: p[None].clone() for n, p in start().items()}
    of = recipe(name)
    return PartialUpdates(Member(of, of.resolve(values), 0), parameters), parameters


TORCH: dict[str, tuple[dict[str, Any], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": ({"lr": 0.1, "weight_decay": 0.1}, lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.1)),
    "momentum": ({"lr": 0.1, "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.1, 0.9)),
    "adam": ({"lr": 0.1}, lambda p: torch.optim.Adam(p, 0.1)),
    "adamw": ({"lr": 0.1, "weight_decay": 0.1}, lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1)),
    "radam": ({"lr": 0.1}, lambda p: torch.optim.RAdam(p, 0.1)),
    "nadam": ({"lr": 0.1}, lambda p: torch.optim.NAdam(p, 0.1)),  # it keeps a product beside its states
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize("name", TORCH)
def test_steps_are_torchs(name: str, clip: float, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(dispatch, "accepts", lambda tensor: False)
    values, of_torch = TORCH[name]
    updates, parameters = ours(name, **values, clip_global_norm=clip)
    stepped(updates, 1, STEPS)
    theirs = {n: nn.Parameter(p.clone()) for n, p in start().items()}
    optimizer = of_torch(list(theirs.values()))
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        for n, g in gradients(step).items():
            theirs[n].grad = g.clone()
        if clip:
            torch.nn.utils.clip_grad_norm_(theirs.values(), clip)
        optimizer.step()
    tolerance = 1e-7 if name == "nadam" else 1e-12  # torch keeps the product in float32
    for n, p in theirs.items():
        torch.testing.assert_close(parameters[n][0], p.detach(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("stop", [3, 20])
@pytest.mark.parametrize("name", ["adam", "nadam", "schedule_free_adamw"])
def test_it_goes_on_from_a_state_to_the_last_bit(name: str, stop: int) -> None:
    values = EVERYTHING if name == "adam" else {}
    updates, parameters = ours(name, lr=0.1, **values)
    stepped(updates, 1, STEPS)
    first, before = ours(name, lr=0.1, **values)
    stepped(first, 1, stop)
    second, after = ours(name, lr=0.1, **values)
    for n, p in before.items():
        after[n].copy_(p)
    second.restore(first.state())
    stepped(second, stop + 1, STEPS)
    for n, p in parameters.items():
        assert torch.equal(after[n], p)
        assert torch.equal(second.weights()[n], updates.weights()[n])


def test_before_its_first_step_it_has_no_state() -> None:
    updates, _ = ours("adam", lr=0.1)
    other, _ = ours("adam", lr=0.1)
    other.restore(updates.state())
    assert other.weights() == {}


class Experts(nn.Module):
    """Top-1 mixture: an expert that no sample of a batch reaches has no gradient there."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts = nn.Linear(6, 6), nn.ModuleList(nn.Linear(6, 3) for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        p, out = self.router(x).softmax(-1), x.new_zeros(len(x), 3)
        for i, expert in enumerate(self.experts):
            chosen = p.argmax(-1) == i
            if chosen.any():
                out[chosen] = p[chosen, i, None] * expert(x[chosen])
        return out


class Alternating(nn.Module):
    """Its branches take turns, by a buffer: nothing of it lies in Python, and the first batch reaches one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(6, 3), nn.Linear(6, 3)
        self.register_buffer("turn", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.turn += 1
        return self.left(x) if self.turn.item() % 2 else self.right(x)


@pytest.mark.parametrize("optimizer", ["adamw", "momentum"])
@pytest.mark.parametrize("model", [Experts, Alternating])
def test_a_comparison_trains_whatever_a_batch_reaches(model: type[nn.Module], optimizer: str) -> None:
    workload = tiny(torch.float64, model=lambda: model().double(), batch_size=8, epochs=2, test=None)
    values = {"lr": 0.01, "weight_decay": 0.1}
    of = recipe(optimizer)
    weights = train_all(workload, [Member(of, of.resolve(values), 0)], keep_weights=True)[0].weights
    hand = trained_by_hand(workload, optimizer)
    for name, tensor in hand.state_dict().items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-9, atol=1e-9)


def trained_by_hand(workload: Any, name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = workload.model()
    optimizer = {
        "adamw": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
        "momentum": lambda p: torch.optim.SGD(p, 0.01, 0.9, weight_decay=0.1),
    }[name](model.parameters())
    order = torch.Generator().manual_seed(0)
    for _ in range(workload.epochs):
        for index in torch.randperm(len(workload.train), generator=order).split(workload.batch_size):
            optimizer.zero_grad()
            workload.loss(model(workload.train.inputs[0][index]), workload.train.targets[index]).backward()
            optimizer.step()
    return model


class LayerDrop(nn.Module):
    """Stochastic depth by torch's generator: a block that is dropped in the first batch is trained in later ones."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 3)
        self.blocks = nn.ModuleList(nn.Linear(16, 16) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        for block in self.blocks:
            if self.training and torch.rand(()) < 0.6:
                continue
            h = h + torch.relu(block(h))
        return self.last(h)


def test_stochastic_depth_trains_every_block() -> None:
    of = recipe("adam")
    outcome = train_all(tiny(model=LayerDrop), [Member(of, of.resolve({"lr": 1e-2}), 0)], keep_weights=True)[0]
    assert outcome.failure == ""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        before = LayerDrop().state_dict()
    assert all(not torch.equal(outcome.weights[name], before[name]) for name in before)


def test_a_parameter_that_nothing_reaches_stays_in_the_loop_too() -> None:
    class Unused(nn.Linear):
        def __init__(self) -> None:
            super().__init__(6, 3)
            self.unused = nn.Parameter(torch.ones(3))

    of = recipe("adamw")
    chosen = [Member(of, of.resolve({"weight_decay": 0.5}), 0)]
    for execution in ("loop", "population"):
        outcome = train_all(tiny(model=Unused), chosen, execution=execution, keep_weights=True)[0]
        assert torch.equal(outcome.weights["unused"], torch.ones(3))


class Words(nn.Module):
    """Sparse gradients of an embedding."""

    def __init__(self, sparse: bool, layer: Any = nn.Embedding) -> None:
        super().__init__()
        self.words, self.out = layer(20, 4, sparse=sparse), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = self.words(x)
        return self.out(found.mean(1) if found.ndim == 3 else found)


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_sparse_gradients_train_as_dense_ones_and_that_is_noted(layer: Any, optimizer: str) -> None:
    words = torch.randint(0, 20, (330, 3), generator=torch.Generator().manual_seed(0))
    data = {"train": (words, words[:, 0] % 3), "validation": (words[:90], words[:90, 0] % 3), "test": None}
    sparse, dense = (tiny(**data, model=lambda s=s: Words(s, layer).double()) for s in (True, False))
    planned_job = plan_job(sparse, 0, device=CPU, workers=1)
    assert any("sparse gradients are trained as dense ones" in note for note in planned_job.job.notes)
    of = recipe(optimizer)
    chosen = [Member(of, of.resolve({"lr": 0.1, "clip_global_norm": 1.0}), 0)]
    ours, theirs = (train_all(w, chosen, execution="loop")[0] for w in (sparse, dense))
    losses = [[m.validation_loss for m in of.curve] for of in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)  # rows that a batch holds twice are added in another order
    assert train_all(sparse, chosen)[0].failure == ""
