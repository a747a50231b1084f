"""Hyperparameter search with Optuna's TPE sampler, in batches that fill a population."""

import warnings
from collections.abc import Sequence
from typing import Any

from thalweg.analysis.selection import points
from thalweg.errors import InputError
from thalweg.options.ranges import Range
from thalweg.recipes.imported import Imported
from thalweg.records.types import Round, RunRecord
from thalweg.studies.contenders import Contender
from thalweg.studies.tuning import returned

Where = Range | tuple[Any, ...]

BATCH = 16  # trials per batch; the first batch is random


class SearchTuner:
    """Proposes trials of one contender by the tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS).

    trials: their number; and further ones, at most as many, with the steps that early stopping leaves of them.
    names: the hyperparameters to search; those that the optimizer lacks are ignored. Hyperparameters in the
        contender's space are searched too, over the listed values instead of the declared range.

    Raises:
        InputError: where Optuna is not installed, a hyperparameter has no search range, or the learning rate has
            neither a default nor is searched.
    """

    def __init__(
        self, contender: Contender, names: Sequence[str], trials: int, seed: int, *, higher_is_better: bool
    ) -> None:
        optuna = _optuna()
        self.contender, self.notes, self._left, self._trials = contender, list[str](), trials, trials
        listed: dict[str, Where] = {name: tuple(values) for name, values in contender.space.items()}
        declared = {n: _range(contender, n) for n in names if n not in listed and _has(contender, n)}
        self._space = declared | listed
        self._unsearched = {**contender.default_rate, **contender.fixed}  # a run's record lists its learning rate
        if (rate := contender.recipe.rate) is not None and rate not in self._space | self._unsearched:
            raise InputError(f"{contender.label} has no default for {rate!r}: search {rate!r} too, or fix it.")
        least = contender.evaluations(contender.fixed)
        if trials < least:
            raise InputError(
                f"{contender.label} takes {least} gradient evaluations in each step, and trials count them: give at"
                f" least {least} trials, got {trials}."
            )
        if not self._space:
            self._left = min(trials, least)  # nothing to search
        self._optuna = optuna
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=BATCH, multivariate=True)
        direction = "maximize" if higher_is_better else "minimize"
        self._study = optuna.create_study(sampler=sampler, direction=direction)
        self._waiting: list[tuple[Any, dict[str, Any]]] = []

    def next(self, runs: Sequence[RunRecord]) -> tuple[Round, list[dict[str, Any]]]:
        self._tell(runs)
        spare = min(self._trials, returned(self.contender, runs)) if self._space else 0
        for _ in range(min(BATCH, self._left + spare)):
            trial = self._study.ask()
            given = {**self._unsearched, **{name: _draw(trial, name, of) for name, of in self._space.items()}}
            if self._contradictory(given):
                self._left -= 1
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            elif (each := self.contender.evaluations(given)) <= self._left + spare:
                self._left -= each
                self._waiting.append((trial, given))
            else:
                self._tell_of_cost(each)
                self._left = -spare
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
                break
        return "search", [given for _, given in self._waiting]

    def _tell_of_cost(self, each: int) -> None:
        note = f"{self.contender.label}: a step takes {each} gradient evaluations, so that it had fewer trials."
        self.notes += [] if note in self.notes else [note]

    def _contradictory(self, given: dict[str, Any]) -> bool:
        """Whether the values are each in range but invalid in combination; such a trial counts as used."""
        try:
            self.contender.recipe.resolve(given)
        except InputError:
            return True
        return False

    def _tell(self, runs: Sequence[RunRecord]) -> None:
        known = {_key(p.hyperparameters): p for p in points(runs)}
        for trial, given in self._waiting:
            point = known.get(_key(given))
            if point is None or not point.eligible:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial, point.metric.mean)
        self._waiting = []


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise InputError(
            "Searching hyperparameters needs Optuna; install it with pip install 'thalweg[search]'."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _key(given: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(given.items()))


def _has(contender: Contender, name: str) -> bool:
    """Whether the optimizer has this hyperparameter and it is not fixed."""
    known = contender.recipe.defaults if isinstance(contender.recipe, Imported) else contender.recipe.hyperparameters
    return (name in known or name == contender.recipe.rate) and name not in contender.fixed


def _range(contender: Contender, name: str) -> Where:
    """The search space: the declared range, whose `search` part is drawn from, or both values of a flag."""
    if isinstance(contender.recipe, Imported):
        if name == contender.recipe.rate:
            return Range(0.0, search=contender.recipe.rates, scale="log")
        raise InputError(
            f"{contender.label}: only the learning rate of an imported optimizer can be searched, not {name!r}."
        )
    declared = contender.recipe.hyperparameters[name]
    if declared.range is None:
        return (False, True)
    if declared.range.search is None:
        raise InputError(
            f"The {name!r} of {contender.label} has no range worth searching; give values in a Contender's space."
        )
    return declared.range


def _draw(trial: Any, name: str, where: Where) -> Any:
    if isinstance(where, tuple):
        return trial.suggest_categorical(name, where)
    assert where.search is not None
    low, high = where.search
    if where.scale == "log(1-x)":
        return 1.0 - float(trial.suggest_float(f"1 - {name}", 1 - high, 1 - low, log=True))
    return float(trial.suggest_float(name, low, high, log=where.scale == "log"))
