"""What a distillation found: teacher, students on labels, distilled students, and the gain paired by seed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.analysis.ensembles import gain_text, interval_of, stored_interval
from thalweg.analysis.formatting import metric_name, number, value_text
from thalweg.analysis.intervals import mean_interval, paired_interval
from thalweg.records.types import StudyRecord


def distillation_findings(
    plain: Mapping[int, float], distilled: Mapping[int, float], teacher: float, *, higher_is_better: bool
) -> dict[str, Any]:
    """The findings as JSON data. plain, distilled: scores by seed; teacher: its score.

    gain: distilled minus plain, paired by seed, positive where distilled is better. behind: teacher minus distilled,
    positive where the teacher is better; the teacher is taken as it is.
    """
    sign = 1.0 if higher_is_better else -1.0
    both = [seed for seed in plain if seed in distilled]
    gain = paired_interval([sign * distilled[s] for s in both], [sign * plain[s] for s in both])
    behind = mean_interval([sign * (teacher - value) for value in distilled.values()])
    found = {"teacher": teacher, "gain": stored_interval(gain), "behind": stored_interval(behind)}
    for name, scores in (("plain", plain), ("distilled", distilled)):
        interval = stored_interval(mean_interval([*scores.values()]))
        found[name] = {"seeds": [*scores], "scores": [*scores.values()], "mean": interval}
    distance = sign * (teacher - mean_interval([*plain.values()]).mean)
    found["closed"] = gain.mean / distance if distance > 0 and math.isfinite(gain.mean) else None
    return found


def distillation_verdict(study: StudyRecord, found: Mapping[str, Any]) -> str:
    """The findings of a distillation in words."""
    plain, distilled = (number(study, interval_of(found[name]["mean"])) for name in ("plain", "distilled"))
    metric = f"{found['split']} {metric_name(study.metric)}"
    gain = gain_text(study, interval_of(found["gain"]), "The distilled student", "the same student on labels")
    scores = (
        f"{metric}: {plain} by the student on labels, {distilled} distilled, {value_text(study, found['teacher'])} by"
    )
    return f"{gain} {scores[0].upper()}{scores[1:]} the teacher."


def ended(scores: Sequence[float | None], seeds: Sequence[int]) -> dict[int, float]:
    """Scores by seed, without those of runs that broke off."""
    return {seed: score for seed, score in zip(seeds, scores, strict=True) if score is not None}
