"""Rules of whole matrices, and rules that evaluate the model, in a population: each member as the drop-in by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_checkpoints import Noisy, assert_same, outcomes, planned, stopped
from torch import nn
from weights_by_hand import weights_by_hand

import thalweg.optim
from problems import refused, tiny, train_all
from thalweg.errors import InputError
from thalweg.execution import dispatch
from thalweg.optim import adamw_rest, grouped
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.updates.members import Member
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.workload import Workload

MATRICES: list[tuple[str, dict[str, Any]]] = [
    ("muon", {}),
    ("muon", {"match_rms_adamw": True, "nesterov": False}),
    ("muon", {"decoupled_weight_decay": False, "cautious": True, "clip_global_norm": 0.1}),
    ("muon", {"ema_decay": 0.9, "max_norm": 0.7, "clip_update": 0.5}),
    ("normuon", {}),
    ("normuon", {"lookahead_steps": 5, "centralize": True}),
]
CLASSES = {"muon": thalweg.optim.Muon, "normuon": thalweg.optim.NorMuon, "sgd": thalweg.optim.SGD,
           "adamw": thalweg.optim.AdamW}  # fmt: skip
MODEL: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {"sam": 0.05, "momentum": 0.9}),
    ("sgd", {"sam": 0.5}),
    ("adamw", {"sam": 0.1, "clip_global_norm": 0.1}),
    ("muon", {"sam": 0.1}),
    ("sgd", {}),
]


class Mixed(nn.Module):
    """A convolution, an embedding, a norm, and matrices, tall and wide."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 6)
        self.conv = nn.Conv1d(1, 5, 3)
        self.norm = nn.LayerNorm(20)
        self.wide, self.tall = nn.Linear(20, 7), nn.Linear(7, 12)
        self.out = nn.Linear(12, 3)
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.table((x[:, 0] > 0).long())
        x = self.norm(torch.tanh(self.conv(x[:, None])).flatten(1))
        return self.out(torch.tanh(self.tall(torch.tanh(self.wide(x)))))


def problem(**changes: Any) -> Workload:
    return tiny(torch.float64, **{"epochs": 2, "model": Mixed, **changes})


def members(settings: list[tuple[str, dict[str, Any]]], seeds: int = 2) -> list[Member]:
    return [Member(recipe(n), recipe(n).resolve({"lr": 0.01, **s}), seed) for n, s in settings for seed in range(seeds)]


def by_hand(workload: Workload, name: str, setting: dict[str, Any], seed: int) -> dict[str, torch.Tensor]:
    """Final weights with the drop-in; AdamW's share is said by the type of modules."""

    def optimizer(model: nn.Module) -> Any:
        params = grouped(model, adamw_rest(model)) if "muon" in name else model.parameters()
        return CLASSES[name](params, lr=0.01, **setting)

    return weights_by_hand(workload, optimizer, seed)


@pytest.mark.parametrize("execution", ["population", "loop"])
def test_every_member_equals_the_drop_in(execution: str) -> None:
    settings, seeds = MATRICES + MODEL, 2 if execution == "population" else 1
    trained = train_all(problem(), members(settings, seeds), execution=execution, keep_weights=True)
    assert {outcome.execution.split(" ")[0].strip(":") for outcome in trained} == {execution}
    each = [member.structure.evaluations for member in members(settings, seeds)]
    assert [outcome.evaluations for outcome in trained] == [problem().total_steps * count for count in each]
    last = [outcome for i, outcome in enumerate(trained) if i % seeds == seeds - 1]
    for (name, setting), outcome in zip(settings, last, strict=True):
        for weight, expected in by_hand(problem(), name, setting, seeds - 1).items():
            torch.testing.assert_close(
                outcome.weights[weight], expected, rtol=1e-9, atol=1e-9, msg=lambda m, s=setting: f"{s}: {m}"
            )


def test_other_devices_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = members(MATRICES + MODEL, seeds=1)
    fast = train_all(problem(epochs=1), chosen, execution="population", keep_weights=True)
    monkeypatch.setattr(dispatch, "obstacle", refused)
    slow = train_all(problem(epochs=1), chosen, execution="population", keep_weights=True)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a.weights, b.weights, rtol=1e-10, atol=1e-10)


def test_dropout_and_statistics_are_those_of_the_first_evaluation() -> None:
    """Both draw the same masks, and batch norm's statistics move once a step: the program equals the live model."""
    workload = tiny(torch.float64, epochs=2, model=lambda: Noisy().double())
    chosen = members([("sgd", {"sam": 0.5}), ("sgd", {})])
    together, alone = (
        train_all(workload, chosen, execution=execution, keep_weights=True) for execution in ("population", "loop")
    )
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.weights, b.weights, rtol=1e-12, atol=1e-12)
        assert a.weights["layers.1.num_batches_tracked"] == 2 * 21
    assert together[0].weights["layers.0.weight"].sub(together[2].weights["layers.0.weight"]).abs().max() > 1e-4


def test_a_radius_beside_others_changes_nothing_in_them() -> None:
    sgd, workload = recipe("sgd"), tiny(torch.float64, epochs=1)
    chosen = [
        Member(sgd, sgd.resolve({"lr": lr, "sam": radius}), 0) for lr in (0.01, 0.1) for radius in (0.0, 0.1, 0.5)
    ]
    together = train_all(workload, chosen, execution="population", keep_weights=True)
    for i, member in enumerate(chosen):
        alone = train_all(workload, [member], execution="population", keep_weights=True)[0]
        torch.testing.assert_close(together[i].weights, alone.weights, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("execution", ["population", "loop"])
@pytest.mark.parametrize(("name", "setting"), [MATRICES[3], MATRICES[5], MODEL[3]], ids=["muon", "normuon", "sam"])
def test_goes_on_bit_for_bit(name: str, setting: dict[str, Any], execution: Any, tmp_path: Path) -> None:
    planned_job = planned(problem(), execution)
    chosen = members([(name, setting)], seeds=2 if execution == "population" else 1)
    stopped(planned_job, chosen, tmp_path, 30)
    assert_same(outcomes(planned_job, chosen, checkpoints=Checkpoints(tmp_path)), outcomes(planned_job, chosen))


def test_who_is_stepped_by_adamw() -> None:
    model = Mixed()
    assert [*adamw_rest(model, "out.*")] == [
        "table.weight", "conv.bias", "norm.weight", "norm.bias", "wide.bias", "tall.bias", "out.weight", "out.bias",
    ]  # fmt: skip


def test_a_tied_embedding_is_the_embedding() -> None:
    model = nn.ModuleDict({"table": nn.Embedding(5, 4), "out": nn.Linear(4, 5, bias=False)})
    model["out"].weight = model["table"].weight
    assert adamw_rest(model) == {"table.weight": {"adamw": True}}


def test_parameters_of_a_workload_name_more() -> None:
    """`adamw` counts for the rules of matrices only; the rates of groups for all."""
    workload = problem(parameters={"out.weight": {"adamw": True, "lr": 0.001}})
    muon, _, sgd = train_all(
        workload,
        members([("muon", {}), ("normuon", {}), ("sgd", {})], seeds=1),
        execution="population",
        keep_weights=True,
    )
    torch.manual_seed(0)
    model = Mixed()
    start = model.out.weight.detach().clone()
    first = 0.001 * 42 * 1.2  # AdamW moves an element by about its rate a step
    assert 0 < (muon.weights["out.weight"] - start).abs().max() < first
    assert (sgd.weights["out.weight"] - start).abs().max() > 0


class Centred(nn.Module):
    """Subtracts a buffer that moves in training, before it moves."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x - self.mean
        if self.training:
            self.mean.copy_(0.5 * self.mean + 0.5 * x.detach().mean(0))
        return y


def test_the_second_evaluation_begins_with_the_buffers_of_the_first() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), Centred(8), nn.Tanh(), nn.Linear(8, 3)).double()

    workload, chosen = tiny(torch.float64, epochs=1, model=model), members([("sgd", {"sam": 0.5})], seeds=2)
    together, alone = (train_all(workload, chosen, execution=e, keep_weights=True) for e in ("population", "loop"))
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.weights, b.weights, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["muon", "normuon"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_matrices_are_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    """A row without a gradient stays, and an update is that of the drop-in."""
    g = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    g[1] = 0
    of = recipe(name)
    stacked = {"w": torch.zeros(1, 4, 6, dtype=dtype)}
    updates = PopulationUpdates([Member(of, of.resolve({"lr": 0.1, "weight_decay": 0.0}), 0)], stacked)
    updates.plan(1, 1)
    updates.step(1, {"w": g[None].clone()}, np.ones(1, np.bool_))
    p = nn.Parameter(torch.zeros(4, 6, dtype=dtype))
    p.grad = g.clone()
    CLASSES[name]([p], lr=0.1, weight_decay=0.0, rounding="nearest").step()
    assert not stacked["w"][0, 1].any()
    torch.testing.assert_close(stacked["w"][0], p.detach(), rtol=2 * torch.finfo(dtype).eps, atol=1e-4)


class Thawing(nn.Module):
    """Its norm and its embedding require no gradient until the third batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0
        self.table, self.norm, self.out = nn.Embedding(4, 6), nn.LayerNorm(6), nn.Linear(6, 3)
        self.double()
        self.table.requires_grad_(False)
        self.norm.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches += self.training
        if self.batches == 3:
            self.table.requires_grad_()
            self.norm.requires_grad_()
        return self.out(self.norm(x + self.table((x[:, 0] > 0).long())))


def test_what_requires_a_gradient_later_is_adamws_too() -> None:
    (trained,) = train_all(
        tiny(torch.float64, epochs=1, model=Thawing),
        members([("muon", {})], seeds=1),
        execution="loop",
        keep_weights=True,
    )
    torch.manual_seed(0)
    start = Thawing()
    assert not trained.failure
    moved = (trained.weights["table.weight"] - start.table.weight).abs().max()
    assert 0 < moved < 0.01 * 42  # AdamW moves an element by about its rate a step


def test_a_vector_that_is_kept_from_adamw_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"'out.bias': it steps whole real matrices, .* shape is \[3\]; give it adamw=True"
    ):
        train_all(problem(epochs=1, parameters={"out.bias": {"adamw": False}}), members([("muon", {})], seeds=1))


def test_evaluations_of_a_run_that_diverges() -> None:
    chosen = [Member(recipe("sgd"), recipe("sgd").resolve({"lr": lr, "sam": 0.1}), 0) for lr in (0.01, 1e308)]
    found = [
        [outcome.evaluations for outcome in train_all(tiny(torch.float64, epochs=1), chosen, execution=execution)]
        for execution in ("population", "loop")
    ]
    assert found[0] == found[1]
    assert found[0][0] == 42
    assert found[0][1] == 3  # the loss of the second step is no number, and nothing is evaluated after it


def test_matrices_of_attention_and_of_recurrent_layers() -> None:
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(8, 2), "lstm": nn.LSTM(8, 4), "lazy": nn.LazyLinear(3)})
    rest = adamw_rest(model)
    assert "attention.in_proj_weight" not in rest
    assert "lstm.weight_hh_l0" not in rest
    assert "lazy.weight" not in rest
    assert {"attention.in_proj_bias", "lstm.bias_ih_l0", "lazy.bias"} <= rest.keys()
