"""Which weights to set to zero: the smallest of all, of each tensor or two of every four, or random ones.

A mask holds True for a weight that is kept. Once pruned, a weight stays so: it comes first in every later choice.
"""

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from thalweg.errors import InputError, listed, shown

SCOPES = ("global", "layer", "2:4")
METHODS = ("magnitude", "random")
HALF = 0.5  # the sparsity of 2:4

Tensors = Mapping[str, Any]


def pruned_count(weights: int, sparsity: float) -> int:
    """How many of so many weights are zero at this sparsity: the nearest whole number, of two the even one."""
    return round(sparsity * weights)


def prunable(tensors: Tensors, exclude: Iterable[str] = ()) -> list[str]:
    """The names of the tensors to prune: those of two dimensions and more (never biases and norms), but `exclude`.

    exclude: names, or shell patterns of names. Raises `InputError` for one that matches nothing, or if nothing is left.
    """
    left_out = excluded(tensors, exclude)
    names = [name for name, p in tensors.items() if p.ndim >= 2 and name not in left_out]
    if not names:
        raise InputError("Nothing is left to prune: no parameter of two dimensions or more that is not excluded.")
    return names


def excluded(names: Collection[str], patterns: Iterable[str]) -> set[str]:
    """The names that a pattern matches, or is. Raises `InputError` for a pattern that matches none."""
    out: set[str] = set()
    for pattern in patterns:
        found = {pattern} & set(names) or {name for name in names if fnmatch.fnmatchcase(name, str(pattern))}
        if not found:
            known = listed(list(names)) if names else "none"
            raise InputError(f"exclude must name a parameter or match some, got {shown(pattern)}; there are {known}.")
        out |= found
    return out


def require_scope(scope: str, sparsity: float, tensors: Tensors) -> None:
    """Raises `InputError` for an unknown scope, or where 2:4 does not fit the sparsity or a tensor."""
    if scope not in SCOPES:
        raise InputError(f"scope must be one of {', '.join(SCOPES)}, got {shown(scope)}.")
    if scope != "2:4":
        return
    if sparsity != HALF:
        raise InputError(f"The sparsity of scope='2:4' must be 0.5, got {sparsity:g}.")
    for name, p in tensors.items():
        if p.shape[1] % 4:
            raise InputError(
                f"scope='2:4' needs inputs in fours, and {name!r} has {p.shape[1]} inputs: exclude it by its name."
            )


def magnitudes(tensors: Tensors, masks: Tensors | None = None) -> dict[str, Any]:
    """The scores by which the smallest weights go first: their magnitudes, and -1 where they are pruned already."""
    return {
        name: _behind(_upcast(p.detach().abs()), None if masks is None else masks[name]) for name, p in tensors.items()
    }


def _upcast(scores: Any) -> Any:
    """Scores of 16 bits in 32: not every operation takes those."""
    return scores.float() if scores.element_size() < 4 else scores


def random_scores(tensors: Tensors, seed: int, masks: Tensors | None = None) -> dict[str, Any]:
    """Scores in [0, 1) of a seed, the same at every call, whatever the weights are; -1 where they are pruned."""
    import torch  # lazy: listing optimizers must not need torch

    generator = torch.Generator().manual_seed(seed)
    drawn = {name: torch.rand(tuple(p.shape), generator=generator).to(p.device) for name, p in tensors.items()}
    return {name: _behind(x, None if masks is None else masks[name]) for name, x in drawn.items()}


def _behind(scores: Any, mask: Any) -> Any:
    return scores if mask is None else scores.masked_fill(mask == 0, -1.0)


def masks_of(scores: Tensors, sparsity: float, scope: str = SCOPES[0]) -> dict[str, Any]:
    """Masks of the scores' shapes, bool, that prune the lowest: exactly `pruned_count` of all, or of each layer.

    Of equal scores, the earlier weight goes first, in the order of the tensors. scope: `"global"`, `"layer"`, or
    `"2:4"`, at most two of every four inputs of a unit (for convolutions, input channels at each place of the kernel).
    """
    if scope == "layer":
        return {name: _lowest({name: x}, sparsity)[name] for name, x in scores.items()}
    return _lowest({name: _candidates(x) for name, x in scores.items()} if scope == "2:4" else scores, sparsity)


def _lowest(scores: Tensors, sparsity: float) -> dict[str, Any]:
    import torch

    flat = torch.cat([x.reshape(-1) for x in scores.values()])
    count = pruned_count(len(flat), sparsity)
    if not count:
        return {name: torch.ones_like(x, dtype=torch.bool) for name, x in scores.items()}
    last = torch.kthvalue(flat, count).values if flat.device.type == "cpu" else flat.sort().values[count - 1]
    equal, kept = flat == last, flat >= last
    kept = kept & ~(equal & (equal.cumsum(0) <= count - (flat < last).sum()))
    parts: Sequence[Any] = torch.split(kept, [x.numel() for x in scores.values()])
    return {name: part.view(x.shape) for (name, x), part in zip(scores.items(), parts, strict=True)}


def _candidates(scores: Any) -> Any:
    """The scores of the two lowest in each four inputs; infinite for the others."""
    import torch

    moved = scores.movedim(1, -1)
    fours = moved.reshape(*moved.shape[:-1], -1, 4)
    order = torch.argsort(torch.argsort(fours, dim=-1, stable=True), dim=-1)
    return fours.masked_fill(order >= 2, torch.inf).reshape(moved.shape).movedim(-1, 1)
