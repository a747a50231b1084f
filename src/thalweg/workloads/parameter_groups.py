"""Param groups for common needs: no decay for norms and biases, smaller rates for earlier layers, name patterns."""

import difflib
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from thalweg.errors import InputError, shown, suggest
from thalweg.options.ranges import POSITIVE, Range

Rules = Mapping[str, Mapping[str, Any]]
"""Name of a parameter, or a pattern → the hyperparameters of its group."""

_PER_UNIT = (
    nn.modules.batchnorm._NormBase,  # batch and instance norm
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


_WEIGHTED = (nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.modules.conv._ConvNd)


_OF_MATRICES = (
    nn.Linear, nn.Bilinear, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase, nn.modules.conv._ConvNd,
)  # fmt: skip


OTHERS = "adamw"
"""The flag with which AdamW steps a parameter, in rules of hidden matrices."""


@dataclass(frozen=True)
class Scaled:
    """A multiple of the hyperparameter that the other parameters have, in `Workload(parameters=…)`."""

    factor: float

    def __post_init__(self) -> None:
        POSITIVE.check("The 'factor' of Scaled", self.factor)


def grouped(model: nn.Module, *rules: Rules) -> list[dict[str, Any]]:
    """Named param groups for an optimizer: parameters with equal hyperparameters by the rules share a group.

    Args:
        model: its parameters that require a gradient are grouped, each once, in the model's order.
        rules: name of a parameter, or a shell pattern of names (`"head.*"`), → hyperparameters. Later ones win. An
            exact name is never read as a pattern, whatever characters it has; a tied parameter has all of its names.

    Raises:
        InputError: a pattern that matches no parameter.

        AdamW(grouped(model, undecayed(model), layerwise(model, 1e-3, decay=0.8), {"head.*": {"lr": 1e-2}}))
    """
    params = {name: p for name, p in model.named_parameters() if p.requires_grad}
    names: dict[torch.Tensor, str] = {p: name for name, p in params.items()}
    chosen: dict[str, dict[str, Any]] = {name: {} for name in params}
    for rule in rules:
        for pattern, hyperparameters in rule.items():
            for p in having(pattern, model):
                if p in names:
                    chosen[names[p]].update(hyperparameters)
    groups: list[dict[str, Any]] = []
    for name, hyperparameters in chosen.items():
        same = next((g for g in groups if {k: v for k, v in g.items() if k != "params"} == hyperparameters), None)
        if same is None:
            groups.append(same := {"params": [], **hyperparameters})
        same["params"].append((name, params[name]))
    return groups


def undecayed(model: nn.Module, *penalties: str, embeddings: bool = False) -> dict[str, dict[str, Any]]:
    """`weight_decay` 0 for biases, other parameters with one value per unit, and all parameters of norms.

    penalties: names of those that are 0 there, such as "l1" and "l2", in place of "weight_decay". embeddings: whether
    also for embeddings.
    """
    off = dict.fromkeys(penalties or ("weight_decay",), 0.0)
    kinds = (*_PER_UNIT, nn.Embedding, nn.EmbeddingBag) if embeddings else _PER_UNIT
    inside = {id(p) for m in model.modules() if isinstance(m, kinds) for p in m.parameters(recurse=False)}
    matrices = {id(p) for m in model.modules() if isinstance(m, _WEIGHTED) for p in m.parameters(recurse=False)}

    def of_units(p: torch.Tensor) -> bool:  # a linear layer's weight is a matrix even with one input
        return p.ndim < 2 or (p.numel() == p.shape[0] and id(p) not in matrices)

    return {name: {**off} for name, p in model.named_parameters() if of_units(p) or id(p) in inside}


def adamw_rest(model: nn.Module, *others: str) -> dict[str, dict[str, Any]]:
    """`adamw` for all but hidden matrices: for Muon and its kin.

    Those are the weights of linear layers, convolutions, recurrent layers and attention. Embeddings, parametrized
    weights, and matrices of any other module are not: name {name: {"adamw": False}} after this for one that is.

    others: names, or patterns of names, of further parameters for AdamW: of the output layer, which no type tells from
    a hidden one, and of tied embeddings. Raises `InputError` for one that matches none.

        Muon(grouped(model, adamw_rest(model, "head.*")), lr=1e-3)
    """
    layers = [m for m in model.modules() if isinstance(m, _OF_MATRICES)]
    found = [p for m in layers for name, p in m.named_parameters(recurse=False) if "weight" in name]
    matrices = {id(p) for p in found if isinstance(p, UninitializedParameter) or p.ndim >= 2}
    looked_up = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    named = {id(p) for pattern in others for p in having(pattern, model)}
    own = matrices - looked_up - named
    return {name: {OTHERS: True} for name, p in model.named_parameters() if id(p) not in own}


def layerwise(
    model: nn.Module, lr: float | None = None, *, decay: float, layers: str | None = None
) -> dict[str, dict[str, Any]]:
    """Learning rates that fall towards the input: `lr` after the layers, `lr·decay` in the last one, and so on.

    Parameters before the layers have the smallest rate, one factor `decay` below the first layer's.

    Args:
        lr: above 0; `None` for multiples of the run's own (`Scaled`), in a workload. decay: in (0, 1].
        layers: the name of the `ModuleList` or `Sequential` that contains them; by default the one with the most
            layers. Layers without parameters that require a gradient do not count.

    Raises:
        InputError: a value out of its range, or no such module.
    """
    lr = None if lr is None else POSITIVE.check("The 'lr' of layerwise", lr)
    decay = Range(0.0, 1.0, open_low=True).check("The 'decay' of layerwise", decay)
    stack = _stack(model, layers)
    prefix = f"{stack}." if stack else ""
    depths = {f"{prefix}{child}.": i + 1 for i, child in enumerate(_layers(model.get_submodule(stack)))}
    rates: dict[str, dict[str, Any]] = {}
    depth = 0
    for name in (name for name, p in model.named_parameters() if p.requires_grad):
        inside = next((d for layer, d in depths.items() if name.startswith(layer)), None)
        depth = inside or (len(depths) + 1 if depth else 0)
        factor = decay ** (len(depths) + 1 - depth)
        rates[name] = {"lr": Scaled(factor) if lr is None else lr * factor}
    return rates


def _layers(stack: nn.Module) -> list[str]:
    """The names of the children with parameters that require a gradient."""
    return [name for name, child in stack.named_children() if any(p.requires_grad for p in child.parameters())]


def _stack(model: nn.Module, given: str | None) -> str:
    """The name of the module that contains the layers: by default the one with the most layers, then parameters."""
    stacks = {name: m for name, m in model.named_modules() if isinstance(m, nn.ModuleList | nn.Sequential)}
    if not stacks:
        raise InputError("layerwise found no ModuleList or Sequential in the model; give {name: {'lr': …}} by hand.")
    if given is None:
        sizes: dict[str, tuple[int, int]] = {
            name: (len(_layers(m)), sum(p.numel() for p in m.parameters() if p.requires_grad))
            for name, m in stacks.items()
        }
        return max(sizes, key=sizes.__getitem__)
    if given not in stacks:
        raise InputError(f"The model has no ModuleList or Sequential {shown(given)}. {suggest(given, stacks)}")
    return given


def having(pattern: str, model: nn.Module) -> list[torch.Tensor]:
    """The parameters of this name, or with names that match this pattern. Raises `InputError` for none."""
    params = dict(model.named_parameters(remove_duplicate=False))
    if pattern in params:
        return [params[pattern]]
    found: list[torch.Tensor] = [p for name, p in params.items() if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        near = difflib.get_close_matches(pattern, params, 3) or [*params][:5]
        raise InputError(f"No parameter of the model is called {shown(pattern)}. Some that are: {', '.join(near)}.")
    return found
