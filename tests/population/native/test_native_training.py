"""Members that native code trains equal the plain loop, whatever their optimizer, and go on bit for bit."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from problems import EVERYTHING, TinyNet, tiny
from scope import sample
from stopping import outcomes, stopped
from thalweg.population.native.steps import Steps
from thalweg.population.planning.plan import NATIVE
from thalweg.population.planning.planned_job import PlannedJob, plan_job
from thalweg.population.training import native
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.updates.group import is_planned_ahead
from thalweg.population.updates.member_passes import MemberPasses
from thalweg.population.updates.members import Member, Trained
from thalweg.population.updates.updates import PopulationUpdates
from thalweg.recipes.catalogue import recipe, recipes
from thalweg.regularization.stopping import EarlyStopping
from thalweg.workloads.parameter_groups import Scaled
from thalweg.workloads.workload import Workload


def planned(workload: Workload, execution: Any = "auto", **options: Any) -> PlannedJob:
    """By native code, unless by the loop; with the weights in the end."""
    found = plan_job(
        workload, 0, device=torch.device("cpu"), workers=1, execution=execution, native=True, test=True, **options
    )
    assert (found.plan.program == NATIVE) is (execution != "loop"), found.plan
    return replace(found, job=replace(found.job, keep_weights=True))


def member(name: str, seed: int = 0, **given: Any) -> Member:
    return Member(recipe(name), recipe(name).resolve(given), seed)


def require_same(workload: Workload, chosen: Sequence[Member], relative: float = 1e-9, **options: Any) -> list[Trained]:
    ours = outcomes(planned(workload, **options), chosen)
    theirs = outcomes(planned(workload, "loop", **options), chosen)
    for a, b in zip(ours, theirs, strict=True):
        assert "population" in a.execution
        assert a.diverged_at == b.diverged_at
        assert [p.train_loss for p in a.curve] == pytest.approx([p.train_loss for p in b.curve], rel=relative)
        assert (a.evaluations, a.stopped_at, a.test_metric) == (b.evaluations, b.stopped_at, b.test_metric)
        for name, tensor in b.weights.items() if a.diverged_at is None else ():
            torch.testing.assert_close(a.weights[name], tensor, rtol=relative, atol=relative)
    return ours


@pytest.mark.parametrize("name", sample(recipes()))
def test_every_rule_equals_the_loop(name: str) -> None:
    require_same(tiny(torch.float64), [member(name, seed) for seed in (0, 1)])


def test_all_at_once() -> None:
    """Members of all kinds in one population: with row states, measured norms, modifiers, matrices, two evaluations."""
    chosen = [member(n, s) for n in ("nadam", "lamb", "adam", "muon", "asgd", "sgd", "rprop") for s in (0, 1)]
    chosen += [member("adam", **EVERYTHING), member("sgd", clip_global_norm=0.1, weight_decay=0.1)]
    require_same(tiny(torch.float64), chosen)


@pytest.mark.parametrize("option", [*EVERYTHING, "sam"])
def test_every_modifier_alone(option: str) -> None:
    """Each by itself: one that is more than a pass must not be taken for one."""
    given = {option: {**EVERYTHING, "sam": 0.05}[option]}
    given |= {"lookahead_alpha": 0.4} if option == "lookahead_steps" else {}
    require_same(tiny(torch.float64), [member(name, s, **given) for name in ("adam", "momentum") for s in (0, 1)])


MEASURING: dict[str, tuple[str, dict[str, Any]]] = {
    "lamb": ("lamb", {"weight_decay": 0.1}),
    "lars": ("lars", {"weight_decay": 0.1}),
    "global norm": ("adam", {"clip_global_norm": 0.05}),
    "global norm and row states": ("nadam", {"clip_global_norm": 0.05}),
    "tensor norm": ("momentum", {"clip_tensor_norm": 0.02}),
    "mean": ("adam", {"cautious": True}),
    "in turn": ("lamb", {"clip_value": 0.01, "clip_global_norm": 0.02, "clip_update": 0.1, "cautious": True}),
}
"""Steps that measure something of the gradient or the update, and go by it."""


@pytest.mark.parametrize("kind", MEASURING)
@pytest.mark.parametrize("own", [False, True])
def test_steps_that_measure_are_native(kind: str, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """own: whether parameters have hyperparameters of their own."""
    name, given = MEASURING[kind]
    workload = replace(tiny(torch.float64), parameters=({"*.bias": {"lr": Scaled(0.3)}},) if own else ())
    calls = []
    whole = Steps.carry_out
    monkeypatch.setattr(Steps, "carry_out", lambda *a, **k: calls.append(1) or whole(*a, **k))
    require_same(workload, [member(name, s, **given) for s in (0, 1, 2)])
    assert calls


def test_which_steps_are_not_whole_in_native_code() -> None:
    """Those by functions of matrices, or of whole tensors before or after the passes."""
    recipes_ = {name: recipe(name) for name in recipes()}
    rules = {name for name, r in recipes_.items() if not is_planned_ahead(r.structure(r.resolve({})))}
    adam = recipes_["adam"]
    given = {option: {option: value} for option, value in EVERYTHING.items()}
    options = {o for o, g in given.items() if not is_planned_ahead(adam.structure(adam.resolve(g)))}
    assert rules == {"muon", "moonlight", "normuon"}
    assert options == {"centralize", "clip_adaptive", "max_norm"}


def test_subnormal_gradients_count_where_a_step_asks_whether_there_is_any() -> None:
    assert _flushed(member("adam", clip_global_norm=1.0))
    assert not any(_flushed(member(name)) for name in ("lamb", "lars"))


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_statistics_of_batch_norm() -> None:
    require_same(tiny(torch.float64, model=Normed), [member("adam", s) for s in (0, 1)])


def test_a_member_that_diverges_ends_as_in_the_loop() -> None:
    chosen = [member("sgd", lr=1e-2), member("sgd", lr=1e200), member("momentum", lr=1e3), member("sgd", 1, lr=1e-2)]
    found = require_same(tiny(torch.float64, loss=_explosive), chosen)
    assert [m.diverged_at is None for m in found] == [True, False, False, True]


def _explosive(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets[:, None]).square().mean()


def test_early_stopping() -> None:
    chosen = [member("adam", lr=lr) for lr in (1e-4, 3e-2, 0.1)]
    rule = EarlyStopping(patience=1)
    assert any(m.stopped_at for m in require_same(replace(tiny(torch.float64), epochs=8), chosen, early_stopping=rule))


def test_hyperparameters_of_single_parameters() -> None:
    groups = {"*bias": {"lr": 0.3, "weight_decay": 0.0}, "hidden*": {"lr": 0.05}}
    require_same(tiny(torch.float64, parameters=groups), [member("momentum", s, weight_decay=0.1) for s in (0, 1)])


def test_data_of_other_layouts_goes_step_by_step() -> None:
    workload = tiny(torch.float64)
    (x,) = workload.train.inputs
    turned = replace(workload, train=(x.t().contiguous().t(), workload.train.targets))
    require_same(turned, [member("adam"), member("adam", 1)])


@pytest.mark.parametrize("names", [("adam", "sgd"), ("nadam", "asgd"), ("lamb", "muon")])
@pytest.mark.parametrize("after", [2, 5])
def test_it_goes_on_bit_for_bit(
    names: tuple[str, ...], after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "STRIDE", 8)
    chosen = [member(n, s, **{recipe(n).rate: lr}) for n in names for lr in (1e-3, 1e-2) for s in (0, 1)]
    of = planned(tiny())
    whole = outcomes(of, chosen)
    stopped(of, chosen, tmp_path, after)
    resumed = outcomes(of, chosen, checkpoints=Checkpoints(tmp_path))
    for a, b in zip(resumed, whole, strict=True):
        assert a.curve == b.curve
        assert all(torch.equal(a.weights[n], w) for n, w in b.weights.items())


def test_steps_beside_the_live_model_and_whole_native_ones_are_equal_bit_for_bit() -> None:
    """The first training compares with the live model, step by step; a resumed one does so in its own first epoch."""
    double = torch.float64
    of = planned(tiny(double, model=lambda: TinyNet(double), epochs=1))
    chosen = [member(n, s, clip_global_norm=0.1) for n in ("adam", "lamb") for s in range(4)]
    first, again = outcomes(of, chosen), outcomes(of, chosen)
    for a, b in zip(again, first, strict=True):
        assert a.curve == b.curve
        assert all(torch.equal(a.weights[n], w) for n, w in b.weights.items())


def test_company_and_workers_change_nothing() -> None:
    """But for rounding: a BLAS may sum in another order where a member's matrices lie otherwise in memory."""
    chosen = [member("adam", s, lr=lr) for s in (0, 1) for lr in (1e-3, 1e-2, 1e-1)]
    of = planned(tiny(torch.float64))
    together = outcomes(of, chosen)
    two = replace(of, plan=replace(of.plan, workers=2, width=2))
    for others in (outcomes(two, chosen), [outcomes(of, [m])[0] for m in chosen]):
        for a, b in zip(others, together, strict=True):
            assert [p.train_loss for p in a.curve] == pytest.approx([p.train_loss for p in b.curve], rel=1e-9)
            for name, tensor in b.weights.items():
                torch.testing.assert_close(a.weights[name], tensor, rtol=1e-9, atol=1e-9)


def test_threads_and_random_state_are_left_as_found() -> None:
    torch.manual_seed(3)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    outcomes(planned(tiny()), [member("adam"), member("sgd")])
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_label_out_of_range_in_a_later_batch_is_the_users_error() -> None:
    """As by the loop: one sentence; what lies outside of the table is never read."""
    workload = tiny(torch.float64, epochs=2)
    targets = workload.train.targets.clone()
    of = planned(workload)
    targets[200:] = 7
    broken = of.of(replace(workload, train=(workload.train.inputs[0], targets)))
    found = outcomes(broken, [member("sgd", s) for s in (0, 1)])
    assert all("out of bounds" in m.failure for m in found), found


class Sorts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sort(1).values


class Noisy(nn.Module):
    """Draws in every way that has a native form."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out, self.drop = nn.Linear(6, 8), nn.Linear(8, 3), nn.Dropout(0.4)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x = x + 0.1 * torch.randn_like(x) + torch.empty_like(x).uniform_(-0.1, 0.1)
        return self.out(self.drop(torch.relu(self.hidden(self.drop(x)))))


def test_random_numbers_equal_the_loops() -> None:
    def model() -> nn.Module:
        return Noisy().double()

    chosen = [member(n, s, lr=lr) for n in ("adam", "lamb") for s, lr in ((0, 1e-3), (1, 1e-2), (0, 1e-2))]
    found = require_same(tiny(torch.float64, model=model), chosen)
    assert len({m.curve[-1].train_loss for m in found}) == len(chosen)


def test_the_plan_says_why_there_is_no_native_code() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), Sorts(), nn.Linear(8, 3))

    plan = plan_job(tiny(model=model), 0, device=torch.device("cpu"), workers=1, native=True).plan
    assert (plan.not_native, plan.describe()["not_native"]) == ("aten.sort.default has no native form",) * 2
    assert plan.program != NATIVE


def test_a_large_step_is_looked_at_more_often() -> None:
    of = planned(tiny())
    chosen = [member("adam", lr=lr) for lr in (1e-3, 1e-2)]
    strides = []
    for operations in (1, 10**9, 10**12):
        executor = native.Native(replace(of.job, operations=operations), chosen, of.programs.shared, live=False)  # type: ignore[arg-type]
        executor.plan(0, 21, 0, np.ones(2, np.bool_))
        strides.append(executor.stride)
    assert strides == [64, 10, 1]


def test_subnormal_numbers_are_0_only_where_that_is_nothing() -> None:
    """A momentum that died decays to subnormal numbers; a sign of one is a whole step, as large as any."""
    given: dict[str, dict[str, Any]] = {"adam": {"eps": 0.0}, "rmsprop": {"eps": 1e-20}}
    names = ("sgd", "momentum", "adam", "rmsprop", "adamax", "signum", "lion")
    flushed = {name: _flushed(member(name)) for name in names}
    assert flushed == {**dict.fromkeys(flushed, True), "signum": False, "lion": False}
    assert not any(_flushed(member(name, **options)) for name, options in given.items())


def _flushed(one: Member) -> bool:
    parameters = {"p": torch.zeros(1, 3)}
    updates = PopulationUpdates([one], parameters)
    updates.plan(1, 2, ahead=True)
    return MemberPasses(updates, {"p": torch.zeros(1, 3)}, 1).flushes(0)


def test_the_control_word_is_left_as_found() -> None:
    outcomes(planned(tiny()), [member("adam"), member("signum")])
    assert float(torch.tensor(1e-40) * torch.ones(1)[0]) > 0
