"""A diverged member is frozen at once, and the others do not notice."""

from typing import Any

import pytest
import torch

from problems import TinyNet, tiny, train_all
from thalweg.population.training.history import History
from thalweg.population.updates.members import Member, Trained
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.metrics import Metric


def members(*rates: float, name: str = "sgd") -> list[Member]:
    return [Member(recipe(name), recipe(name).resolve({"lr": rate}), 0) for rate in rates]


def losses(outcome: Trained) -> list[float | None]:
    return [epoch.train_loss for epoch in outcome.curve]


@pytest.mark.parametrize("execution", ["population", "loop"])
def test_one_member_at_a_million(execution: str) -> None:
    """Its loss overflows; the others end where they would without it."""
    workload = tiny(torch.float32, loss=lambda outputs, targets: (outputs**4).mean() + outputs[:, 0].mean())
    calm = (0.01, 0.02, 0.005, 0.001)
    wild = train_all(workload, members(*calm, 1e6), execution=execution)
    without = train_all(workload, members(*calm), execution=execution)
    assert wild[-1].diverged_at is not None
    assert 2 <= wild[-1].diverged_at <= workload.steps_per_epoch
    assert wild[-1].curve == ()
    assert wild[-1].train_metric is None
    for a, b in zip(wild, without, strict=False):
        assert a.diverged_at is None
        assert losses(a) == pytest.approx(losses(b), rel=1e-5)


class Unused(TinyNet):
    """One of its parameters is in no loss, and was never initialized."""

    def __init__(self) -> None:
        super().__init__(torch.float32)
        self.unused = torch.nn.Parameter(torch.full((3,), torch.nan))


@pytest.mark.parametrize("execution", ["population", "loop"])
def test_a_parameter_in_no_loss_may_be_anything(execution: str) -> None:
    outcome = train_all(tiny(model=Unused, epochs=1), members(0.01), execution=execution)[0]
    assert (outcome.diverged_at, len(outcome.curve)) == (None, 1)


def test_leaving_members_give_their_place_back() -> None:
    """Three of four diverge, so the arrays shrink; the one that stays trains on as before, its state included."""
    workload = tiny(torch.float64, loss=lambda outputs, targets: (outputs**4).mean() + outputs[:, 0].mean(), epochs=5)
    together = train_all(workload, [*members(1e9, 0.01, 1e8, name="momentum"), *members(1e7, name="sgd")])
    alone = train_all(workload, members(0.01, name="momentum"))
    assert [outcome.diverged_at is None for outcome in together] == [False, True, False, False]
    assert losses(together[1]) == pytest.approx(losses(alone[0]), rel=1e-9)
    assert len(together[1].curve) == 5


def test_every_member_may_diverge() -> None:
    workload = tiny(torch.float32, loss=lambda outputs, targets: (outputs**4).mean() + outputs[:, 0].mean())
    outcomes = train_all(workload, members(1e8, 1e9))
    assert all(outcome.diverged_at for outcome in outcomes)
    assert all(outcome.test_metric is None for outcome in outcomes)


def test_a_frozen_members_parameters_stay_as_they_were() -> None:
    """The update of the step whose loss is not finite is not made."""
    workload = tiny(torch.float32, loss=lambda outputs, targets: outputs.mean() * float("nan"))
    outcome = train_all(workload, members(0.1), keep_weights=True)[0]
    torch.manual_seed(0)
    untouched = workload.model().state_dict()
    assert outcome.diverged_at == 1
    assert outcome.initial_loss is None
    for name, weight in outcome.weights.items():
        assert torch.equal(weight, untouched[name])


def test_curves_note_the_first_divergence_only() -> None:
    import numpy as np

    curves = History(2, higher_is_better=True)
    curves.batch(1, np.array([1.0, 2.0]), 10)
    curves.batch(2, np.array([1.0, np.inf]), 10)
    curves.batch(3, np.array([np.nan, np.nan]), 10)
    assert curves.diverged_at == [3, 2]
    assert curves.initial_loss == [1.0, 2.0]
    assert not curves.active.any()


def test_best_epoch_follows_the_direction_of_the_metric() -> None:
    import numpy as np

    for higher, best in ((True, 0.9), (False, 0.1)):
        curves = History(1, higher_is_better=higher)
        for value in (0.5, best, 0.4):
            improved = curves.measure(1, np.array([value]), np.array([0.0]))
            curves.tested(np.array([value]), improved)
        assert curves.best_test == [best]
        assert curves.test == [0.4]


@pytest.mark.parametrize(("what", "execution"), [("metric", "population"), ("metric", "loop"), ("loss", "loop")])
def test_a_value_that_cannot_be_used_ends_its_run_only(what: str, execution: str) -> None:
    """Of a metric or a loss that gives up on a run that goes wrong."""

    def entropy(outputs: torch.Tensor, targets: torch.Tensor) -> Any:
        value = torch.nn.functional.cross_entropy(outputs, targets)
        return None if value.item() > 20 else value

    own = {"metric": Metric(entropy, higher_is_better=False)} if what == "metric" else {"loss": entropy}
    chosen = [Member(recipe("sgd"), recipe("sgd").resolve({"lr": lr}), 0) for lr in (1e-2, 1e-1, 1e4)]
    found = train_all(tiny(epochs=4, **own), chosen, execution=execution)
    assert [bool(run.failure) for run in found] == [False, False, True]
    assert "must return a" in found[2].failure
    assert all(len(run.curve) == 4 for run in found[:2])
