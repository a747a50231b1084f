"""Hyperparameters searched by Optuna's sampler, without training."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch

pytest.importorskip("optuna", reason="the search extra is not installed")

from planted import tuned

from records_fixture import STEPS
from thalweg.errors import InputError
from thalweg.studies.contenders import Contender
from thalweg.studies.search import BATCH, SearchTuner


def valley(given: Mapping[str, Any]) -> float | None:
    """Least at learning rate 1e-3 and beta1 0.8; diverges above 0.05."""
    if given["lr"] > 0.05:
        return None
    return math.log10(given["lr"] / 1e-3) ** 2 + 10 * (given["beta1"] - 0.8) ** 2


def tuner(name: str = "adam", names: tuple[str, ...] = ("lr", "beta1"), trials: int = 40, seed: int = 0) -> SearchTuner:
    return SearchTuner(Contender(name), names, trials, seed, higher_is_better=False)


def test_trials_come_in_batches_within_the_declared_ranges() -> None:
    rounds = tuned(tuner(), valley)
    assert [(of, len(c)) for of, c in rounds] == [("search", BATCH), ("search", BATCH), ("search", 40 - 2 * BATCH)]
    for given in (c for _, configurations in rounds for c in configurations):
        assert set(given) == {"lr", "beta1"}
        assert 1e-5 <= given["lr"] <= 1e-1
        assert 0.5 <= given["beta1"] <= 0.9999


def test_it_learns() -> None:
    """The last batch is better than the first, which is drawn at random."""
    rounds = tuned(tuner(trials=5 * BATCH), valley)

    def middle(configurations: list[dict[str, Any]]) -> float:
        values = sorted(math.inf if (v := valley(c)) is None else v for c in configurations)
        return values[len(values) // 2]

    assert middle(rounds[-1][1]) < 0.5 * middle(rounds[0][1])


def test_the_same_seed_draws_the_same() -> None:
    assert tuned(tuner(), valley) == tuned(tuner(), valley)
    assert tuned(tuner(seed=1), valley) != tuned(tuner(), valley)


def test_what_an_optimizer_does_not_have_is_left_out() -> None:
    search = tuner("sgd", ("lr", "beta1", "nesterov", "momentum"), trials=BATCH)
    with_flag = search.next([])[1]
    assert {name for given in with_flag for name in given} == {"lr", "momentum", "nesterov"}
    fixed = tuner("adam(beta1=0.5)", trials=1).next([])[1]
    assert fixed[0]["beta1"] == 0.5


def test_values_that_a_contender_lists_are_drawn_from() -> None:
    contender = Contender("adam", space={"beta1": [0.8, 0.95], "amsgrad": [True]})
    (_, given), *_ = tuned(SearchTuner(contender, ("lr",), BATCH, 0, higher_is_better=False), valley)
    assert {c["beta1"] for c in given} == {0.8, 0.95}
    assert {c["amsgrad"] for c in given} == {True}
    assert len({c["lr"] for c in given}) == BATCH


def test_contradictory_trials_are_spent_without_training() -> None:
    """nesterov=True without momentum; half of the draws of a flag."""
    (_, given), *_ = tuned(tuner("sgd", ("lr", "nesterov"), trials=BATCH), lambda given: given["lr"])
    assert 0 < len(given) < BATCH
    assert not any(c["nesterov"] for c in given)


def test_a_learning_rate_that_is_not_searched_is_listed_at_its_default() -> None:
    """So that a record has it; a fixed one as it is fixed."""
    assert [set(given) for given in tuner(names=("beta1",), trials=2).next([])[1]] == [{"lr", "beta1"}] * 2
    assert {given["lr"] for given in tuner(names=("beta1",), trials=2).next([])[1]} == {1e-3}
    assert {given["lr"] for given in tuner("adam(lr=0.5)", ("beta1",), trials=2).next([])[1]} == {0.5}


class Bare(torch.optim.SGD):
    """A class whose learning rate has no default."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr)


def test_a_class_without_a_default_rate_is_searched_over_it_or_refused() -> None:
    name = f"{__name__}:Bare"
    assert [set(given) for given in tuner(name, trials=2).next([])[1]] == [{"lr"}] * 2
    assert tuner(f"{name}(lr=0.5)", ("beta1",), trials=2).next([])[1] == [{"lr": 0.5}]
    with pytest.raises(InputError, match=r":Bare has no default for 'lr': search 'lr' too, or fix it\.$"):
        tuner(name, ("beta1",))


def test_nothing_to_search_is_one_trial() -> None:
    assert len(tuned(tuner("sgd(lr=0.1)", ("lr",)), lambda given: 1.0)) == 1


@pytest.mark.parametrize(
    ("name", "hyperparameter", "message"),
    [
        ("adabound", "final_lr", "'final_lr' of adabound has no range worth searching"),
        ("torch.optim:RAdam", "eps", "only the learning rate of an imported optimizer can be searched, not 'eps'"),
    ],
)
def test_refusals(name: str, hyperparameter: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tuner(name, ("lr", hyperparameter))


def test_steps_that_early_stopping_leaves_make_further_trials() -> None:
    """Of 16 trials half of the steps are left, of the 8 that these allow again, and so on."""
    rounds = tuned(tuner(trials=16), valley, stopped_at=STEPS // 2)
    assert [len(c) for _, c in rounds] == [16, 8, 4, 2, 1]
    assert sum(len(c) for _, c in tuned(tuner(trials=16), valley, stopped_at=1)) == 2 * 16  # no more
    fixed = SearchTuner(Contender("adam(lr=1e-3)"), (), 16, 0, higher_is_better=False)
    assert [len(c) for _, c in tuned(fixed, lambda given: 0.5, stopped_at=STEPS // 2)] == [1]
