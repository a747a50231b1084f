"""What a shell completes: names of workloads, optimizers, schedules and formats, without importing torch."""

import re
from collections.abc import Callable, Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from thalweg.options.kinds import Kind, Listed, OneOf

DECLARED = re.compile(r"^@rule\(.*?^def (\w+)|^\w+ = preset\(\s*\w+,\s*\"(\w+)\"", re.MULTILINE | re.DOTALL)
"""An optimizer in the source of `thalweg.rules`: a decorated function, or another name for one."""

Completion = Callable[[str], list[str]]


def completion(name: str, kind: Kind) -> Completion | None:
    """The completion of an option's value; `None` where the shell's own does."""
    if isinstance(kind, OneOf):
        return one_of(kind.words)
    known = {"optimizers": optimizer_names, "schedules": schedule_names}.get(name)
    return _listed(known) if known and isinstance(kind, Listed) else None


def one_of(words: Iterable[str] | Callable[[], Iterable[str]]) -> Completion:
    """Completes one of a few words, or of those that a function finds."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in (words() if callable(words) else words) if word.startswith(incomplete)]

    return complete


def _listed(known: Callable[[], Iterable[str]]) -> Completion:
    """Completes the last of several names with commas between them, outside of parentheses."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        if last.count(")") < last.count("(") or before.count("(") > before.count(")"):
            return []  # hyperparameters
        return [before + comma + name for name in known() if name.startswith(last)]

    return complete


def workload_names() -> tuple[str, ...]:
    from thalweg.workloads import catalogue

    return catalogue.workload_names()


def optimizer_names() -> list[str]:
    """The names of the catalogue, sorted; read off the source, since importing it takes a second."""
    sources = _sources(files("thalweg.rules"))
    return sorted(first or second for text in sources for first, second in DECLARED.findall(text))


def schedule_names() -> list[str]:
    from thalweg.schedules.parsing import names

    return [*names()]


def _sources(folder: Traversable) -> Iterable[str]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _sources(item)
        elif item.name.endswith(".py"):
            yield item.read_text(encoding="utf-8")


def study_formats() -> Any:
    from thalweg.reports.export import FORMATS

    return FORMATS
