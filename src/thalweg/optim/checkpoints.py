"""What a checkpoint says of which parameter: by name where both have names, else by place, or it is refused."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from thalweg.errors import InputError, listed
from thalweg.optim.eightbit import SCALES
from thalweg.optim.signature import class_name, group_defaults
from thalweg.optim.state import REST
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.options import STATES

Groups = Sequence[Mapping[str, Any]]

FEW = 4  # names in one sentence


def matched(recipe: Recipe, groups: Groups, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint with its groups and parameters in the order of the optimizer's.

    Raises `InputError` where names, groups, shapes or states are not the optimizer's.
    """
    saved: Groups = checkpoint["param_groups"]
    if _named(groups) and _named(saved):
        saved = _by_name(groups, saved)
    else:
        _require_as_many(groups, saved)
    for group, of in zip(groups, saved, strict=True):
        for place, (p, index) in enumerate(zip(group["params"], of["params"], strict=True)):
            name = group["param_names"][place] if "param_names" in group else f"number {place}"
            _require_like(recipe, name, p, checkpoint["state"].get(index, {}))
    own = group_defaults(recipe)  # what a checkpoint says nothing of stays as this optimizer was asked for
    kept = [{key: value for key, value in group.items() if key in own} for group in groups]
    return {**checkpoint, "param_groups": [{**of, **given} for of, given in zip(kept, saved, strict=True)]}


def _named(groups: Groups) -> bool:
    """Whether every parameter has a name of its own; those of two models may share some."""
    each = all(len(group.get("param_names", ())) == len(group["params"]) for group in groups)
    return each and len({*_names(groups)}) == sum(len(group["params"]) for group in groups)


def _by_name(groups: Groups, saved: Groups) -> Groups:
    own, theirs = (set(_names(of)) for of in (groups, saved))
    if own != theirs:
        missing, odd = sorted(own - theirs), sorted(theirs - own)
        lacks = f" It has nothing of {_few(missing)}." if missing else ""
        more = f" The optimizer has no {_few(odd)}." if odd else ""
        raise InputError(f"The checkpoint is of other parameters.{lacks}{more} Load it for the model it was saved of.")
    found = []
    for group in groups:
        names = group["param_names"]
        of = next((g for g in saved if names and names[0] in g["param_names"]), None)
        if of is None or set(of["param_names"]) != set(names):
            raise InputError(
                f"The checkpoint has the parameters in other param groups: not {_few(names)} together. Make the"
                " groups as they were when it was saved."
            )
        indices = dict(zip(of["param_names"], of["params"], strict=True))
        found.append({**of, "params": [indices[name] for name in names], "param_names": list(names)})
    return found


def _names(groups: Groups) -> Iterator[str]:
    for group in groups:
        yield from group.get("param_names", ())


def _few(things: Sequence[Any]) -> str:
    return listed([*map(repr, things)], FEW)


def _require_as_many(groups: Groups, saved: Groups) -> None:
    sizes, theirs = ([len(group["params"]) for group in of] for of in (groups, saved))
    if sizes != theirs:
        raise InputError(
            f"The checkpoint has param groups of {_few(theirs)} parameters, the optimizer of {_few(sizes)}."
        )


def _require_like(recipe: Recipe, name: str, p: Tensor, state: Mapping[str, Any]) -> None:
    known = {s.name for s in (*recipe.rule.states, *STATES.values())} | {"step", REST}
    for key, value in state.items():
        if not isinstance(value, Tensor) or value.numel() == 1 or key.endswith(SCALES):
            continue
        if key not in known:
            raise InputError(
                f"The checkpoint holds {key!r} of parameter {name}, which {class_name(recipe)} does not know: it was"
                " saved by another optimizer."
            )
        if value.shape != p.shape:
            raise InputError(
                f"The checkpoint's {key} of parameter {name} has shape {tuple(value.shape)}, the parameter"
                f" {tuple(p.shape)}: it is of another model, or the parameters came in another order"
                " (model.named_parameters() gives them names)."
            )
