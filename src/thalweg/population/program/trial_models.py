"""The models that are built once before training and serve every check and timing until it begins."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.population.program.models import forget_gradients
from thalweg.workloads.workload import Workload


class TrialModels:
    """Three models from calls of the factory: two of one seed, and one of the next, with which programs are traced.

    Checks and timings before training share them, and put them back to their initial tensors instead of building anew:
    what a check does to Python state is found by `inspect`, and such models are not traced.
    """

    def __init__(self, first: nn.Module, second: nn.Module, tracing: nn.Module, *, resettable: bool) -> None:
        self.first, self.second, self.tracing = first, second, tracing
        self._initial = [InitialTensors(m) for m in (first, second, tracing)] if resettable else []

    @property
    def bytes(self) -> int:
        """Bytes that are freed when training begins: all but the model that programs are traced with."""
        copies = [t for initial in self._initial for t in initial.copies]
        return sum(t.numel() * t.element_size() for t in (*copies, *_tensors(self.first), *_tensors(self.second)))

    def reset(self) -> tuple[nn.Module, nn.Module]:
        """`first` and `second` with the tensors that they were built with, without gradients, in training mode."""
        assert self._initial, "large models are not kept twice"
        for initial in self._initial:
            initial.restore()
        return self.first, self.second

    def on_replicas(self, workload: Workload) -> Workload:
        """The workload with replicas for models, for timings and trials; with its own where there can be no replica."""

        def model() -> nn.Module:
            try:
                return replica(self.tracing)
            except Exception:  # a user's class may refuse anything
                return workload.model()

        return replace(workload, model=model)


class InitialTensors:
    """A model's parameters and buffers with copies of their values, to which `restore` puts it back."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._registered = [(m, dict(m._parameters), dict(m._buffers)) for m in model.modules()]
        unique = {id(t): t for t in _tensors(model)}
        self._tensors = [_Initial(t, t.data, t.detach().clone(), t.requires_grad) for t in unique.values()]

    @property
    def copies(self) -> list[Tensor]:
        return [of.values for of in self._tensors]

    def restore(self) -> None:
        """Registers the same tensors, in their memory, with their values and dtypes."""
        for module, parameters, buffers in self._registered:
            _register(module._parameters, parameters)
            _register(module._buffers, buffers)
        with torch.no_grad():
            for tensor in self._tensors:
                tensor.restore()
        forget_gradients(self._model)
        self._model.train()


@dataclass(frozen=True)
class _Initial:
    """A tensor, its memory, and a copy of its values."""

    tensor: Tensor
    memory: Tensor
    values: Tensor
    trained: bool

    def restore(self) -> None:
        if self.tensor.is_inference():  # nothing can change it outside of inference mode
            return
        if not _same_memory(self.tensor, self.memory):  # `.double()`, or the model's code, has given it another
            self.tensor.data = self.memory
        self.memory.copy_(self.values)
        if self.tensor.requires_grad != self.trained:
            self.tensor.requires_grad_(self.trained)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return (a.dtype, a.shape, a.stride(), a.data_ptr()) == (b.dtype, b.shape, b.stride(), b.data_ptr())


def _register(registered: dict[str, Any], before: dict[str, Any]) -> None:
    """Makes a module's dictionary hold the tensors of `before`, in the same order."""
    if [(name, id(t)) for name, t in registered.items()] != [(name, id(t)) for name, t in before.items()]:
        registered.clear()
        registered.update(before)


def replica(model: nn.Module) -> nn.Module:
    """A copy with parameters and buffers of its own; all other attributes are shared.

    For timings and trials alone: code that reaches the original by a closure uses the original's tensors.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("TorchScript holds its tensors itself")
    copies: dict[int, Tensor] = {}
    modules = {id(m): _shallow(m) for m in model.modules()}
    for module in model.modules():
        copy = modules[id(module)]
        copy._parameters = {name: _own(p, copies) for name, p in module._parameters.items()}  # type: ignore[misc]
        copy._buffers = {name: _own(b, copies) for name, b in module._buffers.items()}
        copy._modules = {name: m and modules[id(m)] for name, m in module._modules.items()}
        if isinstance(copy, nn.RNNBase):  # a list of its parameters
            copy._flat_weights = [getattr(copy, name, None) for name in copy._flat_weights_names]
    return modules[id(model)]


def _shallow(module: nn.Module) -> nn.Module:
    copy: nn.Module = type(module).__new__(type(module))
    copy.__dict__.update(vars(module))
    return copy


def _own(tensor: Tensor | None, copies: dict[int, Tensor]) -> Tensor | None:
    """A copy of a tensor with its attributes, one for all names that it has."""
    if tensor is None:
        return None
    if id(tensor) not in copies:
        values = tensor.detach().clone(memory_format=torch.preserve_format)
        copy = nn.Parameter(values, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values
        copy.__dict__.update(vars(tensor))
        copies[id(tensor)] = copy
    return copies[id(tensor)]
