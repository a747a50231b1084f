"""Weights to start from, in place of a model's own: from a safetensors file, a torch file or a mapping."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError, first_line, listed, shown


def read_weights(given: Any) -> dict[str, Tensor]:
    """Tensors by name, of a mapping or a file: `.safetensors`, or one of `torch.save`, of which only tensors are read.

    Raises `InputError` where there are none.
    """
    if isinstance(given, str | os.PathLike):
        given = _file(Path(given))
    if not isinstance(given, Mapping) or not given or not all(isinstance(t, Tensor) for t in given.values()):
        raise InputError(f"initial must be tensors by name, or a file of them, got {shown(given)}.")
    return {str(name): tensor.detach() for name, tensor in given.items()}


def _file(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"The file '{path}' of initial does not exist.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file, or one that holds more than tensors
        raise InputError(f"The file '{path}' of initial cannot be read: {first_line(error)}") from None


def start_from(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copies weights into the parameters and buffers of the same names; others keep what the model made.

    Raises `InputError` where a name is none of the model's, or a shape differs.
    """
    own = tensors_of(model)
    unknown = [name for name in weights if name not in own]
    if unknown:
        raise InputError(
            f"initial has {listed(unknown)}, which the model has not: it has {listed([*own])}. Leave them out, or name"
            " them so."
        )
    for name, tensor in weights.items():
        if tensor.shape != own[name].shape:
            raise InputError(
                f"initial has {name!r} of shape {list(tensor.shape)}, and the model's is {list(own[name].shape)}: leave"
                " it out for the model's own."
            )
        if kind_of(tensor) != kind_of(own[name]):
            raise InputError(
                f"initial has {name!r} in {tensor.dtype}, and the model's is {own[name].dtype}: convert it; quantized"
                " numbers are no weights by themselves."
            )
        with torch.no_grad():
            own[name].copy_(tensor)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; tied ones under each of their names, as in a state dict."""
    return {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers(remove_duplicate=False))}


def kind_of(tensor: Tensor) -> str:
    """What kind of numbers a tensor holds: real, complex or whole."""
    return "complex" if tensor.is_complex() else "real" if tensor.is_floating_point() else "whole"
