"""Differences between two studies, per contender, with a significance test against seed noise.

False positives, simulated under the null hypothesis (seed effects plus noise) with 1 to 11 contenders, continuous
scores and accuracies of 360 samples, 2,000 pairs of studies each: paired with 2 to 10 seeds, some contender is
significant in at most 6% of pairs, 5% on average for continuous scores; unpaired in at most 5%. If only the noise grows
five-fold: at most 7%. If tuning is repeated too and a misplaced rate costs accuracy: 9%, since another rate is chosen
and its true score differs.

Power, for one contender that became worse by three standard deviations of the noise among 1, 5 and 11: 93, 57 and 41%
with 5 paired seeds, at least 98% with 10; 79, 46 and 32% with 5 unpaired seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from thalweg.analysis import significance
from thalweg.analysis.finals import Split, common
from thalweg.analysis.intervals import Interval
from thalweg.analysis.pooled import PooledChange, pooled
from thalweg.analysis.settings_diff import SettingChange, asked_differently, require_one_question
from thalweg.analysis.significance import Comparison
from thalweg.analysis.study_arm import Arm, RankedStudy, ranked, require_one_ranking
from thalweg.records.types import RunRecord, StudyRecord

RULE = (
    "A change is significant where t tests of the final scores find it at 5% for all contenders together (Holm), "
    "paired where both studies ran the same seeds; where runs were lost, how many counts too, by Fisher's exact test. "
    "What finished in one study and could not in the other changed significantly without a test. Where no single one "
    "changed, one t test over the seeds of the mean of all that finished every run says what they did together."
)
"""The test procedure in a few sentences, printed by reports."""

Direction = Literal["better", "worse"]
Told = tuple[StudyRecord, Sequence[RunRecord]]


@dataclass(frozen=True)
class Change:
    """The change of one contender present in both studies.

    paired: True for Student's t on the differences of common seeds; False for Welch's t.
    difference: score after − before in the metric's unit, with a 95% interval not corrected for multiple contenders;
        over the common seeds where paired. `None` where a study has no score, ends NaN with fewer than two seeds.
    p: not corrected for multiple contenders, in [0, 1]; `None` where there was nothing to test. adjusted: corrected, by
        Holm.
    significant: after correction over all contenders; also where it finished in one study and could not in the other.
    direction: sign of the change, significant or not; `None` where it is zero or unknown.
    """

    contender: str
    before: Arm
    after: Arm
    paired: bool
    difference: Interval | None
    p: float | None
    significant: bool
    direction: Direction | None
    adjusted: float | None = None

    @property
    def judged(self) -> bool:
        """Whether the contender could be tested at all."""
        return self.p is not None or self.significant


@dataclass(frozen=True)
class Difference:
    """Comparison of two studies. split: the split whose metric ranks. asked: settings that differ.

    changes: one per contender of both studies, in the order of the first study. pooled: of all of them together, a
        test of its own at the same level; `None` where too few finished.
    """

    before: StudyRecord
    after: StudyRecord
    split: Split
    asked: tuple[SettingChange, ...]
    changes: tuple[Change, ...]
    pooled: PooledChange | None = None

    @property
    def significant(self) -> bool:
        """Whether any contender is significantly better or worse."""
        return any(change.significant for change in self.changes)

    @property
    def added(self) -> tuple[str, ...]:
        """Contenders of the second study only."""
        return tuple(name for name in self.after.contenders if name not in self.before.contenders)

    @property
    def removed(self) -> tuple[str, ...]:
        """Contenders of the first study only."""
        return tuple(name for name in self.before.contenders if name not in self.after.contenders)


def difference(before: Told, after: Told, level: float = 0.95) -> Difference:
    """Compares two studies, each a pair of its record and its runs.

    Each contender's final scores get a two-sided t test, paired if one study's seeds are a subset of the other's, else
    Welch's; 1 − level is the family-wise error rate over all contenders (Holm). If either study lost runs, Fisher's
    exact test on the counts is a second test, and the smaller p is doubled. A contender that finished every final run
    in one study and none in the other is significant without a test. The variance of an accuracy is at least its
    quantization error.

    The tests compare the chosen configurations: a learning rate that tuning moved is part of the change.

    Raises:
        InputError: where workloads, metrics, protocols or kinds of score differ, or no contender is common.
    """
    require_one_question(before[0], after[0])
    a, b = ranked(*before), ranked(*after)
    require_one_ranking(a, b)
    found = [_change(a, b, name, level) for name in a.sides if name in b.sides]
    asked = asked_differently(a.record, b.record)
    return Difference(a.record, b.record, a.split, asked, _held(found, 1 - level), pooled(a, b, level))


def _held(changes: Sequence[Change], rate: float) -> tuple[Change, ...]:
    """Applies Holm's correction over all tests; changes that are significant without a test are not counted."""
    tested = {change.contender: change.p for change in changes if change.p is not None}
    ps = list(tested.values())
    passed = dict(zip(tested, significance.holm(ps, rate), strict=True))
    adjusted = dict(zip(tested, significance.adjusted(ps), strict=True))
    return tuple(
        replace(c, significant=c.significant or passed.get(c.contender, False), adjusted=adjusted.get(c.contender))
        for c in changes
    )


def _change(a: RankedStudy, b: RankedStudy, name: str, level: float) -> Change:
    """One contender's change before Holm's correction: `significant` only where no test is needed."""
    before, after = a.sides[name], b.sides[name]
    pairs = _same_seeds(before, after)
    compared = _compared(a, b, name, level) if pairs else _compared_apart(a, b, name, level)
    better = 1.0 if a.record.higher_is_better else -1.0
    interval = compared.interval if compared else None
    change = Change(name, before, after, pairs, interval, None, False, None)
    if _broken(before, after) or _broken(after, before):
        return replace(change, significant=True, direction="worse" if after.failed else "better")
    tests = _tests(before, after, compared, better)
    p, direction = min(tests, key=lambda test: test[0]) if tests else (None, _way(interval, better))
    return replace(change, p=None if p is None else min(1.0, p * len(tests)), direction=direction)


def _tests(before: Arm, after: Arm, compared: Comparison | None, better: float) -> list[tuple[float, Direction | None]]:
    """(p, direction) of the score test, and of the test on lost runs if there were any."""
    tests: list[tuple[float, Direction | None]] = []
    if compared is not None and compared.p is not None:
        tests.append((compared.p, _way(compared.interval, better)))
    if (before.lost or after.lost) and before.seeds and after.seeds:
        shares = [side.lost / len(side.seeds) for side in (before, after)]
        p = significance.losses((before.lost, len(before.seeds)), (after.lost, len(after.seeds)))
        tests.append((p, _direction(shares[0] - shares[1])))
    return tests


def _compared(a: RankedStudy, b: RankedStudy, name: str, level: float) -> Comparison | None:
    x, y = common(a.sides[name].scores, b.sides[name].scores)
    return significance.paired(x, y, a.rounding + b.rounding, level) if x else None


def _compared_apart(a: RankedStudy, b: RankedStudy, name: str, level: float) -> Comparison | None:
    x, y = list(a.sides[name].scores.values()), list(b.sides[name].scores.values())
    return significance.unpaired(x, y, (a.rounding, b.rounding), level) if x and y else None


def _same_seeds(before: Arm, after: Arm) -> bool:
    """Whether one study's seeds are a subset of the other's, counting runs that did not finish too."""
    a, b = set(before.seeds), set(after.seeds)
    return bool(a and b) and (a <= b or b <= a)


def _broken(side: Arm, other: Arm) -> bool:
    """Whether `side` failed and `other` finished all final runs, or, if `side` has no final runs, any of them."""
    return side.failed and (other.whole or (not side.seeds and bool(other.scores)))


def _way(interval: Interval | None, better: float) -> Direction | None:
    return None if interval is None else _direction(better * interval.mean)


def _direction(gain: float) -> Direction | None:
    return None if gain == 0 else "better" if gain > 0 else "worse"
