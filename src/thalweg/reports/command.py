"""The command that makes a study again."""

import shlex
from collections.abc import Mapping
from typing import Any

from thalweg.options.comparison import COMPARISON, TEXTBOOK, settings
from thalweg.records.types import StudyRecord
from thalweg.workloads.catalogue import workload_names
from thalweg.workloads.user_files import is_place

HERE = ("device", "data_dir", "tag", "memory")  # of the machine, not of the comparison


def command(study: StudyRecord) -> str | None:
    """`thalweg compare digits --epochs 5`, without where data and results lie.

    `None` for a study from Python: its workload, or an optimizer or schedule of its own, has no name on a command line.
    """
    request, of = study.request, study.request.get("workload")
    known = isinstance(of, str) and (of in workload_names() or is_place(of))
    compared = _crossed(request)
    if not known or compared is None:
        return None
    words = ["thalweg", "compare", str(of), *compared]
    for name, value in settings(request).items():
        if name not in HERE and value not in (None, [], COMPARISON[name].default):
            if not isinstance(value, bool | int | float | str | list | tuple):
                return None
            words += [f"--{name.replace('_', '-')}", _written(value)]
    return shlex.join(words)


def _crossed(request: Mapping[str, Any]) -> list[str] | None:
    """The options that say what is compared; `None` where no text does."""
    asked = request.get("crossed")
    if asked is not None:
        return [word for name, texts in asked.items() for word in (f"--{name}", _written(texts))]
    named = [_optimizer(saved) for saved in request.get("contenders", ())]
    if not named or None in named:
        return None
    texts = list(map(str, named))
    return [] if ", ".join(texts) == TEXTBOOK else ["--optimizers", ",".join(texts)]


def _optimizer(saved: Mapping[str, Any]) -> str | None:
    """A contender as text; `None` where its text would not be read as the same."""
    if saved.get("name") is None or any(saved.get(of) for of in ("space", "schedule", "regularizer", "model")):
        return None
    given = {**saved.get("fixed", {}), **({"convention": saved["convention"]} if saved.get("convention") else {})}
    inside = ", ".join(f"{name}={value!r}" for name, value in given.items())
    text = f"{saved['name']}({inside})" if inside else str(saved["name"])
    title = saved.get("title") or text
    if title in (text, saved["name"]) or "(" in title:
        return text
    return None if "=" in title or "," in title else f"{title} = {text}"


def _written(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}"
