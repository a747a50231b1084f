"""A note for the verdict where vectorized training fell back to the plain loop."""

from thalweg.records.types import StudyRecord


def fallback(study: StudyRecord) -> list[str]:
    """One sentence where vectorized training was tried and failed; empty where the plain loop was the better plan."""
    reason = study.plan.get("fallback")
    return [f"Runs were trained one by one, by the plain loop: {reason}."] if reason else []
