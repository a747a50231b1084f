"""Matches a checkpoint to parameters, by name where both have names, else by order; refuses what does not match."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError, listed, shown
from thalweg.execution import dispatch
from thalweg.execution.storage.codebook import blocks_of
from thalweg.optim.interop.signature import class_name, group_defaults
from thalweg.optim.state.loading import own_states
from thalweg.optim.state.quantized_state import SCALES
from thalweg.optim.state.state import RESIDUAL
from thalweg.recipes.catalogue import Recipe, recipes
from thalweg.rules.states import State

Groups = Sequence[Mapping[str, Any]]

FEW = 4  # names in one message, at most
OF_THIS_RUN = ("foreach", "fused")
"""Arguments that affect how a step runs, not what it computes."""

WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Prefixes that torch's wrappers add to names, at any depth of the model."""

PARALLEL = "module."
"""The prefix that data-parallel wrappers add to every name."""


def matched(recipe: Recipe, groups: Groups, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint with its groups and parameters in the optimizer's order.

    Raises `InputError` where names, groups, shapes or states do not match the optimizer's.
    """
    saved: Groups = checkpoint["param_groups"]
    if _named(groups) and _named(saved):
        saved = _by_name(groups, saved)
    else:
        _require_as_many(groups, saved)
    for group, of in zip(groups, saved, strict=True):
        for place, (p, index) in enumerate(zip(group["params"], of["params"], strict=True)):
            name = group["param_names"][place] if "param_names" in group else f"number {place}"
            require_like(recipe, name, p, checkpoint["state"].get(index, {}))
    pairs = zip(groups, saved, strict=True)
    return {**checkpoint, "param_groups": [_merged(recipe, group, of) for group, of in pairs]}


def require_checkpoint(checkpoint: Any) -> None:
    """Raises `InputError` unless it has the structure of an optimizer's `state_dict()`."""
    whole = isinstance(checkpoint, Mapping) and {"state", "param_groups"} <= checkpoint.keys()
    groups = checkpoint["param_groups"] if whole else None
    in_order = isinstance(groups, list | tuple) and all(isinstance(g, Mapping) and "params" in g for g in groups)
    states = checkpoint["state"] if whole and isinstance(checkpoint["state"], Mapping) else {0: None}
    if not (in_order and all(isinstance(state, Mapping) for state in states.values())):
        raise InputError(
            "A checkpoint is what state_dict() of an optimizer returns: a dict of its 'state', by parameter, and its"
            f" 'param_groups', a list of dicts with 'params'; got {shown(checkpoint)}."
        )


def _merged(recipe: Recipe, group: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """A saved group, with this optimizer's values for keys that it lacks.

    Arguments of how a step runs stay this optimizer's; `capturable` is loaded only on a GPU, which has CUDA graphs.
    """
    own = {key: value for key, value in group.items() if key in group_defaults(recipe)}
    on_gpu = any(dispatch.on_gpu(p.device) for p in group["params"])
    hints = (*OF_THIS_RUN, *(() if on_gpu else ("capturable",)))
    kept = [name for name, value in recipe.preset.defaults.items() if value is True]  # such as AdamW's decoupled decay
    began = {h.name: saved[f"initial_{h.initially}"] for h in recipe.hyperparameters.values()
             if h.initially and h.name not in saved and f"initial_{h.initially}" in saved}  # fmt: skip
    return {**own, **saved, **began, **{name: own[name] for name in (*hints, *kept) if name in own}}


def _named(groups: Groups) -> bool:
    """Whether all parameters have distinct names; parameters of two models may share some."""
    each = all(len(group.get("param_names", ())) == len(group["params"]) for group in groups)
    return each and len({*_names(groups)}) == sum(len(group["params"]) for group in groups)


def _by_name(groups: Groups, saved: Groups) -> Groups:
    theirs, own = _to_match([*_names(saved)], [*_names(groups)])
    found = []
    for group in groups:
        names = [own[name] for name in group["param_names"]]
        of = next((g for g in saved if names and names[0] in map(theirs.get, g["param_names"])), None)
        if of is None or {theirs[name] for name in of["param_names"]} != set(names):
            raise InputError(
                f"The checkpoint has the parameters in other param groups: not {_few(group['param_names'])} together."
                " Make the groups as they were when it was saved."
            )
        indices = dict(zip(map(theirs.get, of["param_names"]), of["params"], strict=True))
        params = [indices[name] for name in names]
        found.append({**of, "params": params, "param_names": list(group["param_names"])})
    return found


def _to_match(saved: Sequence[str], own: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Saved and own names, each → the name common to both: unchanged, or without the prefixes of wrappers."""
    if set(saved) == set(own):
        return {name: name for name in saved}, {name: name for name in own}
    bare_saved, bare_own = _unwrapped(saved), _unwrapped(own)
    if {*bare_saved.values()} == {*bare_own.values()} and len({*bare_own.values()}) == len(own):
        return bare_saved, bare_own
    missing, odd = sorted(set(own) - set(saved)), sorted(set(saved) - set(own))
    lacks = f" It has nothing of {_few(missing)}." if missing else ""
    more = f" The optimizer has no {_few(odd)}." if odd else ""
    raise InputError(f"The checkpoint is of other parameters.{lacks}{more} Load it for the model it was saved of.")


def _unwrapped(names: Sequence[str]) -> dict[str, str]:
    """Each name without the prefixes of `torch.compile`, DDP, FSDP and activation checkpointing."""
    bare = list(names)
    for prefix in WRAPPERS:
        bare = [name.replace(prefix, "") for name in bare]
    while bare and all(name.startswith(PARALLEL) for name in bare):
        bare = [name.removeprefix(PARALLEL) for name in bare]
    return dict(zip(names, bare, strict=True))


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


def require_like(recipe: Recipe, name: str, p: Tensor, state: Mapping[str, Any]) -> None:
    """Raises `InputError` where the saved state of a parameter is another optimizer's, or has another shape."""
    own = own_states(recipe)
    strange = [
        key
        for key, value in state.items()
        if key not in own and key in _states_of_others() and isinstance(value, Tensor) and value.ndim
    ]
    if strange:
        raise InputError(
            f"The checkpoint holds {strange[0]!r} of parameter {name}, which {class_name(recipe)} does not know: it was"
            " saved by another optimizer."
        )
    for key, value in state.items():
        number = key == "step" or (key in own and own[key].per_row)
        if number and not (value.numel() == 1 if isinstance(value, Tensor) else isinstance(value, int | float)):
            raise InputError(f"The checkpoint's {key} of parameter {name} must be one number, got {shown(value)}.")
        shaped = key == RESIDUAL or (key in own and not own[key].per_row)
        if shaped and isinstance(value, Tensor) and value.shape != (wanted := _shape(own.get(key), p)):
            of = "the parameter" if wanted == p.shape else f"beside the parameter {tuple(p.shape)} it has"
            raise InputError(
                f"The checkpoint's {key} of parameter {name} has shape {tuple(value.shape)}, {of}"
                f" {tuple(wanted)}: it is of another model, or the parameters came in another order"
                " (model.named_parameters() gives them names)."
            )
        _require_scales(name, key, state, p)


def _shape(declared: State | None, p: Tensor) -> tuple[int, ...]:
    """The shape of a state beside a parameter; without a declaration it is the residual."""
    return tuple(p.shape) if declared is None or p.ndim < 2 else tuple(declared.shape_for(tuple(p.shape)))


def _require_scales(name: str, key: str, state: Mapping[str, Any], p: Tensor) -> None:
    scales = state.get(key + SCALES)
    if scales is None:
        return
    if not (isinstance(scales, Tensor) and isinstance(state[key], Tensor) and state[key].dtype == torch.uint8):
        raise InputError(f"The checkpoint's {key} of parameter {name} has scales, and is not held as codes in uint8.")
    if scales.shape != (blocks_of(p.numel()),):
        raise InputError(
            f"The checkpoint's {key + SCALES} of parameter {name} has shape {tuple(scales.shape)}, and"
            f" {p.numel():,} elements have {blocks_of(p.numel()):,} blocks: it is of another model."
        )


@cache
def _states_of_others() -> frozenset[str]:
    return frozenset(state.name for recipe in recipes().values() for state in recipe.rule.states)
