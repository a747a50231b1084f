"""The rule of early stopping against its transcription."""

import random
from typing import Any

import pytest

from oracles.early_stopping import ending
from thalweg.errors import InputError
from thalweg.options.comparison import COMPARISON
from thalweg.regularization.stopping import EarlyStopping, Patience


def measurements(rule: EarlyStopping, metrics: list[float | None], *, higher_is_better: bool) -> int:
    so_far = Patience()
    for count, metric in enumerate(metrics, 1):
        so_far = rule.after(so_far, metric, higher_is_better=higher_is_better)
        if rule.ends(so_far):
            return count
    return len(metrics)


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("least", [0.0, 0.25])
@pytest.mark.parametrize("patience", [1, 2, 5])
def test_it_ends_where_its_transcription_does(patience: int, least: float, higher_is_better: bool) -> None:
    draws, ends = random.Random(f"{patience} {least} {higher_is_better}"), set()
    for _ in range(200):
        # eighths, so that ties and improvements of exactly the least occur
        metrics = [None if draws.random() < 0.1 else draws.randrange(-8, 9) / 8 for _ in range(12)]
        made = measurements(EarlyStopping(patience, least), metrics, higher_is_better=higher_is_better)
        assert made == ending(metrics, patience, least, higher_is_better=higher_is_better)[0], metrics
        ends.add(made)
    assert len(ends) > 3


@pytest.mark.parametrize("values", [{"patience": 0}, {"patience": 1.5}, {"patience": True},
                                    {"patience": 1, "least_improvement": -0.1},
                                    {"patience": 1, "least_improvement": float("nan")},
                                    {"patience": 1, "least_improvement": "0.1"}])  # fmt: skip
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be a"):
        EarlyStopping(**values)


@pytest.mark.parametrize("given", [5, "5", "patience=5", " patience = 5 , least-improvement=0", {"patience": 5},
                                   EarlyStopping(5), "least_improvement=0.0,patience=5"])  # fmt: skip
def test_its_spellings(given: Any) -> None:
    assert EarlyStopping(**COMPARISON["early_stopping"].check(given)) == EarlyStopping(5)


@pytest.mark.parametrize("given", ["", "patience", "patience=", "patience=0", "patience=2.5", "patience=x", 0, True, -1,
                                   "least_improvement=0.1", "patience=5,patience=6", "patience=5,worst=1", [5], object,
                                   "patience=5,least_improvement=-1", {"patience": 5, 3: 4}, "5,6", "nan"])  # fmt: skip
def test_other_spellings_are_refused(given: Any) -> None:
    with pytest.raises(InputError, match="early_stopping must be such as"):
        COMPARISON["early_stopping"].check(given)
