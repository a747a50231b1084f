"""What changed between two studies, contender by contender, and whether more than the luck of seeds explains it.

Simulated with the same truth twice (effects of the seeds, and noise), 1 to 11 contenders, continuous scores and
accuracies of 360 samples, 2,000 pairs of studies each: paired, with 2 to 10 seeds, any contender is significant in at
most 6% and on average 5% of continuous ones; unpaired in at most 5%. Where the noise alone grows five-fold, in at most
7%. Where tuning is repeated too and a misplaced rate costs accuracy, confirmed scores differ in 9%, since another rate
is chosen and its score is truly another. One contender that became worse by three standard deviations of the noise is
found among 1, 5 and 11 in 93, 57 and 41% with 5 paired seeds, in all but 2% with 10; in 79, 46 and 32% with 5 unpaired
ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from thalweg.analysis import significance
from thalweg.analysis.finals import Split, common
from thalweg.analysis.intervals import Interval
from thalweg.analysis.settings_diff import SettingChange, asked_differently, require_one_question
from thalweg.analysis.significance import Comparison
from thalweg.analysis.study_arm import Arm, Studied, require_one_ranking, studied
from thalweg.records.types import RunRecord, StudyRecord

RULE = (
    "A change is significant where t tests of the final scores find it at 5% for all contenders together (Holm), "
    "paired where both studies ran the same seeds; where runs were lost, how many counts too, by Fisher's exact test. "
    "What finished in one study and could not in the other changed significantly without a test."
)
"""The rule in a few words, for a report to print."""

Direction = Literal["better", "worse"]
Told = tuple[StudyRecord, Sequence[RunRecord]]


@dataclass(frozen=True)
class Change:
    """A contender that both studies have.

    paired: whether the same seeds are compared, by Student's t on their differences; otherwise by Welch's t.
    difference: the score after − before in the metric's unit, at 95% for this contender alone; over the seeds that
        both have where paired. `None` where a side has no score, its ends NaN with fewer than two seeds.
    p: uncorrected, in [0, 1]; `None` where there was nothing to test.
    significant: held to one error rate over all contenders; or it finished in one study and could not in the other.
    direction: what the change is, significant or not; `None` where there is none, or it cannot be said.
    """

    contender: str
    before: Arm
    after: Arm
    paired: bool
    difference: Interval | None
    p: float | None
    significant: bool
    direction: Direction | None

    @property
    def judged(self) -> bool:
        """Whether a significant change could have been found at all."""
        return self.p is not None or self.significant


@dataclass(frozen=True)
class Difference:
    """Two studies of one question. split: whose metric ranks. asked: what they asked differently.

    changes: of the contenders that both have, in the order of the first study.
    """

    before: StudyRecord
    after: StudyRecord
    split: Split
    asked: tuple[SettingChange, ...]
    changes: tuple[Change, ...]

    @property
    def significant(self) -> bool:
        """Whether any contender is significantly better or worse."""
        return any(change.significant for change in self.changes)

    @property
    def came(self) -> tuple[str, ...]:
        """Contenders of the second study only."""
        return tuple(name for name in self.after.contenders if name not in self.before.contenders)

    @property
    def went(self) -> tuple[str, ...]:
        """Contenders of the first study only."""
        return tuple(name for name in self.before.contenders if name not in self.after.contenders)


def difference(before: Told, after: Told, level: float = 0.95) -> Difference:
    """Compares two studies, each given as its record and its runs.

    A contender changed significantly where a two-sided t test of its final scores says so, at 1 − level for all
    contenders together (Holm): paired where the seeds of one study are among the other's, by Welch otherwise. Where
    runs were lost on either side, Fisher's exact test of how many is the contender's second test, and the smaller p is
    doubled. What finished every final run in one study and none in the other changed by definition. An accuracy's
    noise is never taken to be less than its resolution alone makes.

    The tests compare what was chosen: where tuning moved to another learning rate, that is part of the change.

    Raises:
        InputError: other workloads, metrics, protocols or kinds of score, or no common contender.
    """
    require_one_question(before[0], after[0])
    a, b = studied(*before), studied(*after)
    require_one_ranking(a, b)
    found = [_change(a, b, name, level) for name in a.sides if name in b.sides]
    return Difference(a.record, b.record, a.split, asked_differently(a.record, b.record), _held(found, 1 - level))


def _held(changes: Sequence[Change], rate: float) -> tuple[Change, ...]:
    """All changes held to one error rate; those by definition are none of the tests."""
    tested = {change.contender: change.p for change in changes if change.p is not None}
    passed = dict(zip(tested, significance.holm(list(tested.values()), rate), strict=True))
    return tuple(replace(c, significant=c.significant or passed.get(c.contender, False)) for c in changes)


def _change(a: Studied, b: Studied, name: str, level: float) -> Change:
    """Before the tests are held to one rate: significant by definition only."""
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
    """(p, which way) of the score, and of the runs lost where some were."""
    tests: list[tuple[float, Direction | None]] = []
    if compared is not None and compared.p is not None:
        tests.append((compared.p, _way(compared.interval, better)))
    if (before.lost or after.lost) and before.seeds and after.seeds:
        shares = [side.lost / len(side.seeds) for side in (before, after)]
        p = significance.losses((before.lost, len(before.seeds)), (after.lost, len(after.seeds)))
        tests.append((p, _direction(shares[0] - shares[1])))
    return tests


def _compared(a: Studied, b: Studied, name: str, level: float) -> Comparison | None:
    x, y = common(a.sides[name].scores, b.sides[name].scores)
    return significance.paired(x, y, a.rounding + b.rounding, level) if x else None


def _compared_apart(a: Studied, b: Studied, name: str, level: float) -> Comparison | None:
    x, y = list(a.sides[name].scores.values()), list(b.sides[name].scores.values())
    return significance.unpaired(x, y, (a.rounding, b.rounding), level) if x and y else None


def _same_seeds(before: Arm, after: Arm) -> bool:
    """By the runs, not by which of them finished."""
    a, b = set(before.seeds), set(after.seeds)
    return bool(a and b) and (a <= b or b <= a)


def _broken(side: Arm, other: Arm) -> bool:
    """Whether nothing came of the one, while the other finished all; or something, where the one had no choice left."""
    return side.failed and (other.whole or (not side.seeds and bool(other.scores)))


def _way(interval: Interval | None, better: float) -> Direction | None:
    return None if interval is None else _direction(better * interval.mean)


def _direction(gain: float) -> Direction | None:
    return None if gain == 0 else "better" if gain > 0 else "worse"
