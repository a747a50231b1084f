"""A study's result in Markdown: for a comment on a pull request, an issue or a wiki."""

import re
from collections.abc import Sequence

from thalweg.analysis.row import Row
from thalweg.records.types import StudyRecord
from thalweg.reports.terminal import LEFT, answer, cells

SPECIAL = re.compile(r"[\\`*_\[\]<>|~#&]")


def summary(study: StudyRecord, rows: Sequence[Row], verdict: str) -> str:
    """A heading, the answer with its lines of Python, the leaderboard and the study's notes."""
    heads, body = cells(study, rows)
    first, made, rest = answer(study, rows, verdict)
    code = "\n".join(["```python", *made, "```"]) if made else ""
    parts = [f"### Optimizers on {escaped(study.workload)}", escaped(first), code, escaped(rest)]
    parts.append(table(heads, body, LEFT))
    notes = "\n".join(f"- {escaped(note)}" for note in study.notes)
    return "\n\n".join(filter(None, [*parts, notes]))


def table(heads: Sequence[str], body: Sequence[Sequence[str]], left: int) -> str:
    """A table of GitHub's Markdown; the first `left` columns align left, the others right."""
    rules = ["---" if i < left else "---:" for i in range(len(heads))]
    lines = [[escaped(cell) for cell in heads], rules, *([escaped(cell) for cell in line] for line in body)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return SPECIAL.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))
