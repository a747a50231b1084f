"""Regularizers of some parameters: by kind, name, pattern of names or type of layer. One spelling everywhere."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from thalweg.errors import InputError, shown
from thalweg.workloads.parameter_groups import having, undecayed

KINDS = ("weight", "bias", "norm", "embedding")
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)

Only = str | type[nn.Module] | Iterable[str | type[nn.Module]]


def regularized(model: nn.Module, only: Only = "weight", **options: Any) -> dict[str, dict[str, Any]]:
    """Rules by which only some parameters have these options of an optimizer: for `grouped`, `Workload(parameters=…)`.

    Args:
        model: its parameters are chosen from.
        only: which: `"weight"`, matrices and filters but neither biases, norms nor embeddings; `"bias"`, `"norm"` (all
            parameters of normalization layers), `"embedding"`; a name or a shell pattern of names (`"head.*"`); a type
            of layer, `nn.Conv2d`, of which the weights are meant; or several of these.
        options: of the optimizer, `l1=1e-5, max_norm=1.0`.

    Raises:
        InputError: `only` matches no parameter, or there are no options.

        SGD(grouped(model, regularized(model, l2=1e-4), regularized(model, nn.Conv2d, max_norm=2.0)), lr=0.1)
    """
    if not options:
        raise InputError("regularized needs options of the optimizer, such as l2=1e-4.")
    return {name: {**options} for name in chosen(model, only)}


def chosen(model: nn.Module, only: Only = "weight") -> list[str]:
    """The names of the parameters that `only` means, in the model's order. Raises `InputError` where one matches none.

    only: as `regularized` takes it.
    """
    several = [only] if isinstance(only, str | type) else list(only)
    found = {name for one in several for name in _meant(model, one)}
    if not found:
        raise InputError(f"only must mean some of the model's parameters, and {shown(only)} means none of them.")
    return [name for name, _ in model.named_parameters() if name in found]


def _meant(model: nn.Module, only: Any) -> list[str]:
    if isinstance(only, type) and issubclass(only, nn.Module):
        found = _inside(model, only, weights=True)
        if not found:
            raise InputError(f"The model has no {only.__name__} with weights, which only={only.__name__} would mean.")
        return found
    if not isinstance(only, str):
        raise InputError(
            f"only must be one of {', '.join(KINDS)}, a pattern of names or a type of layer, got {shown(only)}."
        )
    if only not in KINDS:
        matched = {id(p) for p in having(only, model)}
        return [name for name, p in model.named_parameters() if id(p) in matched]
    found = _of_kind(model, only)
    if not found:
        raise InputError(f"The model has no parameter of the kind {only!r}.")
    return found


def _of_kind(model: nn.Module, kind: str) -> list[str]:
    embeddings = [name for of in _EMBEDDINGS for name in _inside(model, of)]
    if kind == "embedding":
        return embeddings
    others = [*undecayed(model)]
    if kind == "weight":
        return [name for name, _ in model.named_parameters() if name not in {*others, *embeddings}]
    norms = [
        f"{prefix}.{name}".lstrip(".")
        for prefix, module in model.named_modules()
        if "Norm" in type(module).__name__
        for name, _ in module.named_parameters(recurse=False)
    ]
    return norms if kind == "norm" else [name for name in others if name not in norms]


def _inside(model: nn.Module, of: type[nn.Module], *, weights: bool = False) -> list[str]:
    """The names of the parameters in modules of a type; weights: only matrices and filters."""
    inside = {id(p) for module in model.modules() if isinstance(module, of) for p in module.parameters()}
    light = {*undecayed(model)} if weights else set()
    return [name for name, p in model.named_parameters() if id(p) in inside and name not in light]
