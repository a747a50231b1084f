"""A seed's model, and models stacked along a leading member dimension."""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from thalweg.errors import InputError
from thalweg.population.program.failures import exhausted, users_fault
from thalweg.population.program.keras_models import name_anew, require_usable
from thalweg.population.program.randomness import PythonRandomness
from thalweg.workloads.initial import start_from
from thalweg.workloads.reuse import Fitting, freeze_parameters, load_fitting
from thalweg.workloads.workload import Workload

BUILDING = threading.local()
"""`now`: whether this thread is within `model()`; meanwhile no other thread can build a model."""


class _Held(nn.Module):
    """A model within a call of it, so that the call sees the tensors that `functional_call` gives the model."""

    def __init__(self, model: nn.Module, call: Callable[[nn.Module], Any]) -> None:
        super().__init__()
        self.model, self._call = model, call

    def forward(self) -> Any:
        return self._call(self.model)


def called_with(model: nn.Module, tensors: Mapping[str, Tensor], call: Callable[[nn.Module], Any]) -> Any:
    """The result of `call(model)`, whose parameters and buffers are these tensors meanwhile, in whatever it calls."""
    return functional_call(_Held(model, call), {f"model.{name}": t for name, t in tensors.items()}, ())


def build(workload: Workload, seed: int, device: torch.device) -> nn.Module:
    """A seed's model on a device, in training mode."""
    try:
        model = made(workload, seed)
        model.to(device)  # return values are ignored: the user may have overridden these
        model.train()
        return model
    except InputError:
        raise
    except Exception as error:
        raise error if exhausted(error) else users_fault(workload, error) from error


def made(workload: Workload, seed: int) -> nn.Module:
    """`torch.manual_seed(seed); random.seed(seed); numpy.random.seed(seed); model()`, with gradients enabled.

    The random state of all three is restored.
    """
    name_anew()
    with PythonRandomness(seed), torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        BUILDING.now = True
        try:
            return _checked(workload)
        finally:
            BUILDING.now = False


def _checked(workload: Workload) -> nn.Module:
    try:
        model = workload.model()
        require_usable(model)
        if not isinstance(model, nn.Module):
            raise InputError(f"model() must return an nn.Module, got {type(model).__name__}.")
        if any(
            isinstance(p, UninitializedParameter | UninitializedBuffer) for p in (*model.parameters(), *model.buffers())
        ):
            raise InputError("model() must return a model whose lazy layers know their sizes: call it once on a batch.")
        if isinstance(workload.initial, Fitting):
            load_fitting(model, workload.initial)
        elif workload.initial is not None:
            start_from(model, workload.initial)
        freeze_parameters(model, workload.freeze)
        return model
    except InputError:
        raise
    except Exception as error:
        raise error if exhausted(error) else users_fault(workload, error) from error


def forget_gradients(model: nn.Module) -> None:
    """Sets all gradients to `None`, without `zero_grad`, which the user may have overridden."""
    for p in model.parameters():
        p.grad = None


@dataclass
class Stack:
    """Stacked models: every tensor is `[members, …]`. `parameters` are trained; `buffers` are all other tensors."""

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]

    @property
    def members(self) -> int:
        return len(next(iter(self.parameters.values())))

    def keep(self, index: Tensor) -> "Stack":
        """The members at `index`, each tensor in its memory layout."""
        return Stack(
            {name: like(p, p[index]) for name, p in self.parameters.items()},
            {name: b[index] for name, b in self.buffers.items()},
        )


def stack(
    model_of_seed: dict[int, nn.Module], seeds: list[int], trained: set[str], output_major: Collection[str] = ()
) -> Stack:
    """One copy of its seed's model per member. Parameters outside `trained` count as buffers.

    Weights of linear layers are laid out by `input_major`, except those named in `output_major`.
    """
    states = {seed: state(model) for seed, model in model_of_seed.items()}
    transposed = {
        f"{name}.weight".removeprefix(".")
        for name, module in next(iter(model_of_seed.values())).named_modules()
        if isinstance(module, nn.Linear)
    }.difference(output_major)
    parameters, buffers = {}, {}
    for name in next(iter(states.values())):
        tensor = torch.stack([states[seed][name] for seed in seeds])
        if name in trained:
            parameters[name] = input_major(tensor) if name in transposed else tensor
        else:
            buffers[name] = tensor
    return Stack(parameters, buffers)


def state(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer by name, detached."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach() for name, tensor in named}


def input_major(weight: Tensor) -> Tensor:
    """A linear weight `[members, out, in]` laid out in memory as `[members, in, out]`.

    Small batches multiply by it in this layout, several times faster where the input is wide.
    """
    return weight.transpose(1, 2).contiguous().transpose(1, 2)


def like(layout: Tensor, values: Tensor) -> Tensor:
    """`values` in the memory layout of `layout` (whose member count may differ)."""
    order = sorted(range(1, layout.ndim), key=layout.stride, reverse=True)
    order = [0, *order]
    inverse = sorted(range(layout.ndim), key=order.__getitem__)
    return values.permute(order).contiguous().permute(inverse)
