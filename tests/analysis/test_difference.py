"""What changed between two studies, on records whose answer can be seen."""

from dataclasses import replace
from typing import Any

import pytest
from handwritten import confirmed, finals, run, tuning
from handwritten import study as record_of

from thalweg.analysis.difference import Change, Difference, Told, difference
from thalweg.errors import InputError
from thalweg.records.types import StudyRecord

A = [0.90, 0.92, 0.94, 0.96, 0.98]
LITTLE = (0.001, -0.001, 0.0, 0.0005, -0.0005)


def study(*contenders: str, **more: Any) -> StudyRecord:
    """With splits so large that the resolution of an accuracy does not matter."""
    return record_of(*contenders, **{"samples": {"validation": 10**6, "test": 10**6}, **more})


def told(*metrics: list[float | None], **more: Any) -> Told:
    """Contenders a, b, … with these final metrics on seeds 1000, 1001, …"""
    names = "abcdefgh"[: len(metrics)]
    runs = [r for name, values in zip(names, metrics, strict=True) for r in finals(name, values)]
    return study(*names, confirmation=max(map(len, metrics)), **more), runs


def shifted(by: float, scores: list[float] = A, noise: tuple[float, ...] = LITTLE) -> list[float | None]:
    return [x + by + e for x, e in zip(scores, noise, strict=False)]


def only(found: Difference) -> Change:
    (change,) = found.changes
    return change


def moved(told: Told, by: int) -> Told:
    """The same on other fresh seeds."""
    record, runs = told
    seeds = tuple(seed + by for seed in record.confirmation_seeds)
    return replace(record, confirmation_seeds=seeds), [
        replace(r, seed=r.seed + by) if r.role == "confirmation" else r for r in runs
    ]


def test_the_same_study_twice_has_not_changed() -> None:
    both = told(list(A), shifted(-0.2), [0.9, None, 0.9, 0.9, 0.9], samples={"test": 360})
    found = difference(both, both)
    assert found.asked == ()
    assert not found.significant
    assert [change.p for change in found.changes] == [1.0, 1.0, 1.0]
    assert [change.direction for change in found.changes] == [None, None, None]
    assert all(change.judged for change in found.changes)


def test_a_contender_that_became_worse() -> None:
    """By 0.01 on every seed, while seeds differ by far more: paired it is clear, and unpaired it is not."""
    found = difference(told(list(A), list(A)), told(list(A), shifted(-0.01)))
    assert [change.significant for change in found.changes] == [False, True]
    worse = found.changes[1]
    assert worse.paired
    assert worse.direction == "worse"
    assert worse.difference is not None
    assert worse.difference.mean == pytest.approx(-0.01)
    assert worse.difference.high < 0
    assert (worse.before.score.mean, worse.after.score.mean) == (pytest.approx(0.94), pytest.approx(0.93))
    assert found.significant
    assert found.split == "test"
    apart = difference(told(list(A)), moved(told(shifted(-0.01)), by=50))
    assert not only(apart).paired
    assert not apart.significant
    assert only(apart).direction == "worse"


def test_from_the_other_side_it_became_better() -> None:
    there = only(difference(told(list(A)), told(shifted(-0.01))))
    back = only(difference(told(shifted(-0.01)), told(list(A))))
    assert (back.direction, back.p, back.significant) == ("better", there.p, True)
    assert back.difference is not None
    assert there.difference is not None
    assert (back.difference.low, back.difference.high) == pytest.approx(
        (-there.difference.high, -there.difference.low), rel=1e-12
    )


def test_of_an_error_less_is_better() -> None:
    found = difference(
        told(list(A), metric="mse", higher_is_better=False), told(shifted(-0.01), metric="mse", higher_is_better=False)
    )
    assert only(found).direction == "better"
    assert found.significant


def test_other_seeds_are_compared_by_welch() -> None:
    found = only(difference(told(list(A)), moved(told(shifted(-0.3)), by=50)))
    assert (found.paired, found.significant, found.direction) == (False, True, "worse")


def test_more_seeds_of_which_some_are_the_same_are_paired_over_those() -> None:
    found = only(difference(told(list(A)), told([*shifted(-0.01), 0.1, 0.2])))
    assert found.paired
    assert found.difference is not None
    assert (found.difference.count, found.difference.mean) == (5, pytest.approx(-0.01))
    assert found.after.score.count == 7


def test_seeds_that_overlap_only_in_part_are_not_paired() -> None:
    assert not only(difference(told(list(A)), moved(told(list(A)), by=2))).paired


def test_a_lost_seed_takes_its_pair_along() -> None:
    """Each study lost another seed: three pairs are left, though neither's scores contain the other's."""
    found = only(difference(told([None, *A[1:]]), told([*shifted(-0.01)[:4], None])))
    assert found.paired
    assert found.difference is not None
    assert (found.difference.count, found.difference.mean) == (3, pytest.approx(-0.01, abs=1e-3))


def test_contenders_share_one_error_rate() -> None:
    """t is 3 with 4 degrees of freedom, p 0.04: enough alone, not among five."""
    noise = (0.01, -0.01, 0.0, 0.01, -0.01)  # standard error 0.01 / √5
    after = shifted(-0.03 / 5**0.5, noise=noise)
    alone = difference(told(list(A)), told(after))
    assert only(alone).p == pytest.approx(0.03994, abs=1e-4)
    assert alone.significant
    among = difference(told(*[list(A)] * 5), told(after, *[list(A)] * 4))
    assert among.changes[0].p == only(alone).p
    assert not among.significant


def test_what_finished_and_then_never_did_is_worse_without_a_test() -> None:
    found = difference(told([0.9, 0.8], list(A)), told([None, None], list(A)))
    gone = found.changes[0]
    assert (gone.significant, gone.direction, gone.p, gone.difference) == (True, "worse", None, None)
    assert gone.judged
    assert gone.after.failed
    back = difference(told([None, None]), told([0.9, 0.8]))
    assert (only(back).significant, only(back).direction) == (True, "better")


def test_a_run_that_failed_counts_as_one_that_diverged() -> None:
    record, runs = told([0.9, 0.8])
    failed = [replace(r, failure="out of memory") if r.role == "confirmation" else r for r in runs]
    assert only(difference((record, runs), (record, failed))).significant


def test_a_contender_that_left_tuning_without_a_choice_is_worse() -> None:
    after = (study("a", confirmation=5), tuning({0.1: [None, 0.5, 0.5], 1.0: [None] * 3}, "a"))
    found = only(difference(told(list(A)), after))
    assert (found.significant, found.direction) == (True, "worse")
    assert (found.after.learning_rate, found.after.hyperparameters) == (None, {})
    assert not only(difference(after, after)).significant
    assert only(difference(told([0.9, None]), after)).significant, "whatever finished before was more"


def test_an_interrupted_study_is_not_a_failure() -> None:
    """Tuned, never confirmed; and not even begun."""
    tuned = (study("a", confirmation=5), tuning({0.1: [0.5] * 3}, "a"))
    for after in (tuned, (study("a", confirmation=5), [])):
        found = only(difference(told(list(A)), after))
        assert not found.judged
        assert (found.significant, found.direction, found.difference) == (False, None, None)


def test_some_runs_lost_are_tested_too() -> None:
    """Ten of ten against three of ten is p = 0.003, doubled for the second test; the scores have not changed."""
    ten = [*A, *A]
    found = only(difference(told(ten), told([*ten[:3], *[None] * 7])))
    assert (found.significant, found.direction) == (True, "worse")
    assert found.p == pytest.approx(2 * 0.0031, abs=1e-4)
    assert found.after.lost == 7
    assert not only(difference(told(list(A)), told([*A[:4], None]))).significant


def test_a_contender_that_rarely_finished_may_fail_altogether() -> None:
    found = only(difference(told([0.9, None, None]), told([None] * 3)))
    assert not found.significant


def test_one_seed_is_not_judged() -> None:
    found = only(difference(told([0.9]), told([0.1])))
    assert not found.judged
    assert found.direction == "worse"


def test_a_coarse_accuracy_is_not_certainty() -> None:
    """One sample of 360 fewer on both of two seeds."""
    before, after = [0.9, 0.9], [0.9 - 1 / 360] * 2
    assert difference(told(before), told(after)).significant
    assert not difference(told(before, samples={"test": 360}), told(after, samples={"test": 360})).significant


def test_without_confirmation_the_tuning_runs_of_the_choice_are_compared() -> None:
    before = (study("a"), tuning({1e-3: [0.95, 0.96, 0.97], 1e-2: [0.1] * 3}, "a"))
    after = (study("a"), tuning({1e-3: [0.1] * 3, 1e-2: [0.75, 0.761, 0.769]}, "a"))
    found = difference(before, after)
    assert found.split == "validation"
    change = only(found)
    assert (change.before.learning_rate, change.after.learning_rate) == (1e-3, 1e-2)
    assert (change.after.hyperparameters, change.after.scores) == ({"lr": 1e-2}, {0: 0.75, 1: 0.761, 2: 0.769})
    assert (change.paired, change.direction, change.significant) == (True, "worse", True)


def test_what_was_asked_differently() -> None:
    before, runs = told(list(A), samples={"test": 360, "train": 100}, environment={"torch": "2.8"})
    expected = {"expected": {"seconds": 1.0}}
    record = replace(before, plan={"width": 8, **expected}, learning_rates={"a": (0.1,)}, caps={"runs": 4})
    other = replace(
        record,
        steps=200,
        batch_size=16,
        samples={"test": 400, "train": 100},
        environment={"torch": "2.9", "cores": 2},
        plan={"width": 16, "expected": {"seconds": 9.0}},
        learning_rates={"a": (0.1, 1.0)},
        tuning_seeds=(0, 1),
        notes=("The budget allowed less.",),
        calls={"a": {"name": "thalweg.optim.SGD", "defaults": {"lr": 0.001}}},  # says nothing that `factors` does not
    )
    found = {(asked.field): (asked.before, asked.after) for asked in difference((record, runs), (other, runs)).asked}
    assert found == {
        "steps": (100, 200),
        "batch_size": (8, 16),
        "samples.test": (360, 400),
        "learning_rates.a": ([0.1], [0.1, 1.0]),
        "tuning_seeds": ([0, 1, 2], [0, 1]),
        "environment.torch": ("2.8", "2.9"),
        "environment.cores": (None, 2),
        "plan.width": (8, 16),
    }


def test_contenders_come_and_go() -> None:
    before = (study("a", "b", confirmation=5, learning_rates={"b": (1.0,)}), finals("a", A) + finals("b", A))
    after = (study("c", "a", confirmation=5, learning_rates={"c": (1.0,)}), finals("a", A) + finals("c", A))
    found = difference(before, after)
    assert (found.added, found.removed) == (("c",), ("b",))
    assert [change.contender for change in found.changes] == ["a"]
    assert [(asked.field, asked.before, asked.after) for asked in found.asked] == [
        ("contenders", ["a", "b"], ["a", "c"])
    ]
    turned = replace(before[0], contenders=("b", "a"))
    assert difference(before, (turned, before[1])).asked == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"workload": "other"}, "'toy' and 'other'"),
        ({"metric": "top5"}, "'accuracy' and 'top5'"),
        ({"higher_is_better": False}, "directions of the metric"),
        ({"protocol": 1}, "2 and 1"),
        ({"contenders": ("z",)}, "no contender in common"),
    ],
)
def test_studies_of_different_questions_are_refused(change: dict[str, Any], says: str) -> None:
    record, runs = told(list(A))
    with pytest.raises(InputError, match=says) as error:
        difference((record, runs), (replace(record, **change), runs))
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_scores_of_different_kinds_are_refused() -> None:
    """Tuning's own scores look too good beside fresh seeds, and validation is not test."""
    unconfirmed = (study("a"), tuning({0.1: [0.9] * 3}, "a"))
    with pytest.raises(InputError, match="test accuracy on fresh seeds; validation accuracy on the seeds of tuning"):
        difference(told(list(A)), unconfirmed)
    untested = [replace(r, test_metric=None) for r in confirmed("a", list(A))]
    with pytest.raises(InputError, match="test accuracy on fresh seeds; validation accuracy on fresh seeds"):
        difference(
            told(list(A)), (study("a", confirmation=5, samples={"train": 9}), [run(0.1, 0, 0.5, "a"), *untested])
        )
