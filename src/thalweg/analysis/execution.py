"""How runs were executed, where that is not what was hoped for."""

from thalweg.records.types import StudyRecord


def fallback(study: StudyRecord) -> list[str]:
    """A sentence where runs could not train at once, though that was tried; none where the loop is the better way."""
    reason = study.plan.get("fallback")
    return [f"Runs were trained one by one, by the plain loop: {reason}."] if reason else []
