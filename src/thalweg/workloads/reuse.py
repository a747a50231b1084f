"""Layers of a trained model in another one: those that fit are loaded, chosen ones are frozen."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError, listed, shown
from thalweg.workloads.initial import kind_of, read_weights, tensors_of
from thalweg.workloads.parameter_groups import having


class Fitting(dict[str, Tensor]):
    """Weights of which a model takes the layers that fit; see `fitting`."""


@dataclass(frozen=True)
class Reused:
    """What a model took over.

    loaded: names of its tensors that were loaded. left: name in the weights → why it was not loaded. own: names of its
    tensors that keep what the model made.
    """

    loaded: tuple[str, ...]
    left: Mapping[str, str]
    own: tuple[str, ...]

    def __str__(self) -> str:
        """One sentence."""
        took = f"{len(self.loaded)} of {len(self.loaded) + len(self.own)} tensors of the model are trained ones"
        kept = f"; {listed(self.own)} begin anew" if self.own else ""
        unused = [f"{name} ({why})" for name, why in self.left.items()]
        return f"{took}{kept}{f'; not taken: {listed(unused)}' if unused else ''}."


def fitting(weights: Any, *, rename: Mapping[str, str] | None = None, leave: str | Sequence[str] = ()) -> Fitting:
    """Weights to start from, `Workload(initial=fitting("trained.safetensors"))`, as far as a model has them.

    A layer is loaded where all its tensors are there in the model's shapes. Others begin anew; the study's notes say
    which. `Workload(initial="trained.safetensors")` refuses a file in which anything does not fit.

    Args:
        weights: tensors by name, a safetensors file, or one of `torch.save`, of which only tensors are read.
        rename: beginnings of names in the weights → those that they have in the model, `{"encoder.": "0."}`.
        leave: names, or patterns of names, that are not taken though they fit, such as `"output.*"`; as renamed.

    Raises:
        InputError: no such file, no tensors in it, or a beginning or a pattern that no name has.
    """
    found = read_weights(weights)
    for old, new in (rename or {}).items():
        if not any(name.startswith(old) for name in found):
            raise InputError(f"No name of the weights begins with {shown(old)}: they are {listed([*found])}.")
        found = {new + n.removeprefix(old) if n.startswith(old) else n: tensor for n, tensor in found.items()}
    for pattern in patterns_of(leave, "leave"):
        if not fnmatch.filter(found, pattern):
            raise InputError(f"No name of the weights matches {shown(pattern)} of leave: they are {listed([*found])}.")
        found = {name: tensor for name, tensor in found.items() if not fnmatch.fnmatchcase(name, pattern)}
    return Fitting(found)


def reuse(
    model: nn.Module,
    weights: Any,
    *,
    rename: Mapping[str, str] | None = None,
    leave: str | Sequence[str] = (),
    freeze: str | Sequence[str] = (),
) -> Reused:
    """Loads the layers that fit into a model of your own loop, and freezes parameters.

    Args:
        weights, rename, leave: as `fitting` takes them.
        freeze: names of parameters, or patterns of names such as `"features.*"`, whose `requires_grad` becomes false.
            Statistics of batch norms among them go on while the model is in training mode.

    Returns:
        what was loaded, and what was not, why.

    Raises:
        InputError: nothing fits, a pattern that matches no parameter, or nothing left to train.
    """
    found = load_fitting(model, fitting(weights, rename=rename, leave=leave))
    freeze_parameters(model, freeze)
    return found


def load_fitting(model: nn.Module, weights: Fitting) -> Reused:
    """Copies the layers that fit. Raises `InputError` where none does."""
    own = tensors_of(model)
    reasons = {name: _unfit(name, tensor, own) for name, tensor in weights.items()}
    broken = {_layer(name) for name, why in reasons.items() if why and name in own}
    broken |= {_layer(name) for name in own if name not in weights}
    taken = [name for name, why in reasons.items() if not why and _layer(name) not in broken]
    if not taken:
        raise InputError(
            f"None of the weights fits a layer of the model: they are {listed(_described(weights))}, and the model has "
            f"{listed(_described(own))}. Give weights of such a model, or rename them."
        )
    with torch.no_grad():
        for name in taken:
            own[name].copy_(weights[name])
    left = {name: why or "its layer does not fit" for name, why in reasons.items() if name not in taken}
    return Reused(tuple(taken), left, tuple(name for name in own if name not in taken))


def freeze_parameters(model: nn.Module, patterns: str | Sequence[str]) -> None:
    """Sets `requires_grad` of the parameters of these names or patterns to false.

    Raises `InputError` for one that matches none, and where nothing is left to train.
    """
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        for p in having(pattern, model):
            p.requires_grad_(False)
    if patterns and not any(p.requires_grad for p in model.parameters()):
        raise InputError("freeze leaves no parameter to train: name fewer.")


def notes_on_reuse(model: nn.Module, initial: Any, freeze: Sequence[str]) -> tuple[str, ...]:
    """What a study says of the layers that a model took over and of those that are not trained, a sentence each."""
    notes = (f"Weights to start from: {load_fitting(model, initial)}",) if isinstance(initial, Fitting) else ()
    if not freeze:
        return notes
    each = [(p.numel(), p.requires_grad) for p in model.parameters()]
    frozen = sum(count for count, trained in each if not trained)
    return (*notes, f"{frozen:,} of {sum(count for count, _ in each):,} parameters are frozen.")


def patterns_of(given: Any, what: str = "freeze") -> tuple[str, ...]:
    """Patterns of names, from one or several. Raises `InputError` for anything else."""
    found = (given,) if isinstance(given, str) else given
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) and name for name in found):
        raise InputError(f"{what} must be names of parameters, or patterns such as 'features.*', got {shown(given)}.")
    return tuple(found)


def _unfit(name: str, tensor: Tensor, own: Mapping[str, Tensor]) -> str:
    """Why a tensor cannot be loaded; empty if it can."""
    if name not in own:
        return "the model has none of that name"
    if tensor.shape != own[name].shape:
        return f"{list(tensor.shape)}, here {list(own[name].shape)}"
    return "" if kind_of(tensor) == kind_of(own[name]) else f"{tensor.dtype}, here {own[name].dtype}"


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _described(tensors: Mapping[str, Tensor]) -> list[str]:
    return [f"{name} {list(tensor.shape)}" for name, tensor in tensors.items()]
