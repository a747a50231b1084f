"""Schedules in checkpoints: as texts, which are read and checked before anything is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.optim.interop.signature import class_name
from thalweg.optim.stepping.reading import plain
from thalweg.optim.stepping.scheduling import Schedules, convert, tell_end
from thalweg.optim.stepping.values_ahead import COUNT, SCHEDULES, Group
from thalweg.options.ranges import whole
from thalweg.recipes.catalogue import Recipe
from thalweg.rules.hyperparameters import unknown
from thalweg.schedules import Schedule, parse_schedule


@dataclass(frozen=True)
class Loaded:
    """A param group's schedules. own: before loading. saved: those in the checkpoint, `None` if it has none."""

    own: Mapping[str, Schedule]
    saved: Mapping[str, Schedule] | None


def as_text(group: Mapping[str, Any]) -> dict[str, str]:
    """A group's schedules as a checkpoint holds them."""
    return {name: str(schedule) for name, schedule in group[SCHEDULES].items()}


def taken(recipe: Recipe, groups: Sequence[Mapping[str, Any]], saved: Sequence[Group]) -> list[Loaded]:
    """Removes the schedules from a checkpoint's groups, and returns them. groups: the optimizer's, in the same order.

    Raises `InputError` for a function that no text describes, unless the group itself has it, and for a hyperparameter
    or a step count that the optimizer cannot have.
    """
    found = []
    for group, of in zip(groups, saved, strict=True):
        own, texts = dict(group.get(SCHEDULES, {})), of.pop(SCHEDULES, None)
        if texts is not None:
            _require(recipe, texts, of.get(COUNT))
            texts = {name: _made(recipe, name, text, own.get(name)) for name, text in texts.items()}
        found.append(Loaded(own, texts))
    return found


def restore(recipe: Recipe, group: Group, loaded: Loaded) -> None:
    """Gives a loaded group its schedules, and its values the form that the group needs: numbers, or tensors."""
    for name in loaded.own.keys() - (loaded.saved or {}).keys():
        tell_end(recipe, name, f"has no schedule in the checkpoint, so that {loaded.own[name]} ends here")
    if loaded.saved is not None:
        group[SCHEDULES] = Schedules(loaded.saved)
        convert(recipe, group)


def _require(recipe: Recipe, texts: Any, count: Any) -> None:
    if not isinstance(texts, Mapping):
        raise InputError(
            f"The checkpoint's {SCHEDULES!r} must be a dict of texts by hyperparameter, got {shown(texts)}."
        )
    for name in texts:
        if name not in recipe.hyperparameters:
            raise unknown(class_name(recipe), name, recipe.hyperparameters)
    whole(0).check(f"The checkpoint's {COUNT!r}", plain(count))


def _made(recipe: Recipe, name: str, text: Any, own: Schedule | None) -> Schedule:
    if isinstance(text, Schedule):  # within one process
        return text
    if own is not None and str(own) == text:
        return own
    try:
        return parse_schedule(str(text))
    except InputError:
        raise InputError(
            f"The schedule of {name!r} in the checkpoint, {text}, is a function of its user's; make this"
            f" {class_name(recipe)} with it."
        ) from None
