"""Checks that a parameter, its gradient and its state match: a user may have changed any of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.masked import MaskedTensor

from thalweg.errors import InputError, shown
from thalweg.execution import dispatch
from thalweg.execution.data_pointers import PLAIN, has_memory, reach
from thalweg.execution.gpu import passes
from thalweg.execution.overlap import apart
from thalweg.execution.storage.codebook import BLOCK, blocks_of
from thalweg.execution.whole import no_matrix
from thalweg.optim.interop import sharded
from thalweg.optim.state.quantized_state import SCALES
from thalweg.optim.state.state import RESIDUAL, Needs
from thalweg.rules.states import State


@dataclass(frozen=True)
class NamedParameter:
    """A parameter with the names of itself and its optimizer, for messages."""

    owner: str
    name: str
    tensor: Tensor

    @classmethod
    def of(cls, owner: str, group: Mapping[str, Any], place: int, tensor: Tensor) -> "NamedParameter":
        names = group.get("param_names", ())
        return cls(owner, repr(names[place]) if place < len(names) else f"number {place} of its group", tensor)

    def refused(self, reason: str) -> InputError:
        return InputError(f"{self.owner} cannot step parameter {self.name}: {reason}.")

    @property
    def shape(self) -> list[int]:
        return [*self.tensor.shape]


def require(of: NamedParameter, gradient: Tensor, state: Mapping[str, Any], needs: Needs) -> None:
    """Raises `InputError` with the parameter's name where the three do not match, or have no memory."""
    require_gradient(of, gradient)
    _require_whole(of, state, needs)
    _require_matrix(of, needs)
    for name in needs.program.states:
        _require_state(of, name, state)
    for declared in (s for s in needs.structure.states if s.name in needs.program.matrix_states):
        _require_shape(of, declared, state.get(declared.name))
    for name in ("step", *needs.program.row_states):
        _require_number(of, name, state.get(name))
    if needs.precision.compensates(of.tensor) and state.get(RESIDUAL) is not None:
        _require_like(of, RESIDUAL, state[RESIDUAL])
        if state[RESIDUAL].dtype != torch.int16:
            raise of.refused(f"its {RESIDUAL!r} must be int16, got {_described(state[RESIDUAL])}")


def require_gradient(of: NamedParameter, gradient: Tensor) -> None:
    """Raises `InputError` where a gradient does not match the parameter, or one of them has no memory."""
    p = of.tensor
    if isinstance(gradient, MaskedTensor):
        raise of.refused("its gradient is masked; give it g.to_tensor(0), or what the masked elements are to be")
    if p.dtype.itemsize < 2 or gradient.dtype.itemsize < 2:
        raise of.refused(f"it is {_described(p)} and its gradient {_described(gradient)}, in which nothing is computed")
    if gradient.shape != p.shape:
        raise of.refused(
            f"its shape is {of.shape} and its gradient's {[*gradient.shape]}; where p.data was replaced, the gradient"
            " must be made anew"
        )
    if gradient.device != p.device or gradient.is_complex() != p.is_complex() or not _of_numbers(gradient):
        raise of.refused(f"it is {_described(p)} and its gradient {_described(gradient)}")
    if p.is_conj():
        raise of.refused("it is conjugated lazily; give p.resolve_conj()")
    _require_apart(of, "its elements", p)
    for name, tensor in (("it", p), ("its gradient", gradient)):
        _require_memory(of, name, tensor)


def _require_whole(of: NamedParameter, state: Mapping[str, Any], needs: Needs) -> None:
    """Raises `InputError` where only some states of the rule exist: the others would restart within a run."""
    missing = needs.missing(state)
    if missing:
        raise of.refused(
            f"its state has no {missing!r}; give it, or remove all of its state (del optimizer.state[p]) to begin anew"
        )


def _require_matrix(of: NamedParameter, needs: Needs) -> None:
    """Raises `InputError` where whole matrices are stepped, for what is none in the memory of one machine."""
    why = no_matrix(needs.program, of.shape, is_complex=of.tensor.is_complex())
    if not why and needs.program.transients and sharded.spread(of.tensor):
        why = "it steps whole matrices, and the parameter is spread over several machines (a DTensor)"
    flag = needs.structure.rule.others
    if why and flag:
        why += f"; put biases, norms, embeddings and the output layer into a group with {flag}=True, as"
        why += f" thalweg.optim.{flag}_rest(model) does"
    if why:
        raise of.refused(why)


def _require_shape(of: NamedParameter, declared: State, held: Any) -> None:
    """Checks a state with a shape of its own. Accepts a missing one."""
    wanted = declared.shape_for(tuple(of.tensor.shape))
    if held is None or (isinstance(held, Tensor) and held.shape == wanted and held.device == of.tensor.device):
        return
    raise of.refused(
        f"its {declared.name!r} must be a tensor of shape {[*wanted]} on {of.tensor.device}, got {shown(held)}"
    )


def _require_state(of: NamedParameter, name: str, state: Mapping[str, Any]) -> None:
    """Accepts a missing state, which the step creates."""
    held, scales = state.get(name), state.get(name + SCALES)
    if held is None:
        return
    _require_like(of, name, held)
    if held.dtype is torch.uint8:
        _require_codes(of, name, scales)
    elif scales is not None:
        raise of.refused(
            f"its {name!r} is {_described(held)} and has scales, as only codes in uint8 do; remove {name + SCALES!r}"
        )
    elif not (_of_numbers(held) and held.is_complex() == of.tensor.is_complex()):
        raise of.refused(f"its {name!r} is {_described(held)} and it is {_described(of.tensor)}")


def _require_codes(of: NamedParameter, name: str, scales: Any) -> None:
    if type(of.tensor) in PLAIN and torch.empty_like(of.tensor).stride() != of.tensor.stride():
        raise of.refused("states in 8 bits need a parameter that fills its memory; give it p.contiguous()")
    if scales is None:
        raise of.refused(f"its {name!r} is codes in uint8, without their scales; give them as {name + SCALES!r}")
    _require_scales(of, name, scales)


def _require_like(of: NamedParameter, name: str, held: Any) -> None:
    if not isinstance(held, Tensor):
        raise of.refused(f"its {name!r} must be a tensor of shape {of.shape}, got {shown(held)}")
    if held.shape != of.tensor.shape:
        raise of.refused(
            f"its shape is {of.shape} and that of its {name!r} {[*held.shape]}; where the parameter was resized, remove"
            " its state (del optimizer.state[p]) or resize that too"
        )
    if held.device != of.tensor.device:
        raise of.refused(f"it is on {of.tensor.device} and its {name!r} on {held.device}; move both to one device")
    if held.layout != torch.strided:
        raise of.refused(f"its {name!r} has layout {held.layout}; give it dense, as to_dense() makes it")
    _require_apart(of, f"the elements of its {name!r}", held)
    _require_memory(of, f"its {name!r}", held)


def _require_scales(of: NamedParameter, name: str, scales: Any) -> None:
    blocks = blocks_of(of.tensor.numel())
    if not (isinstance(scales, Tensor) and scales.shape == (blocks,) and scales.dtype is torch.float32):
        raise of.refused(f"its {name + SCALES!r} must be float32 of shape [{blocks}], one for each {BLOCK} elements")
    _require_memory(of, f"its {name + SCALES!r}", scales)


def _require_number(of: NamedParameter, name: str, held: Any) -> None:
    if held is None:
        return
    if not isinstance(held, Tensor) or held.numel() != 1 or held.is_complex() or held.layout != torch.strided:
        raise of.refused(f"its {name!r} must be one number in a tensor, got {shown(held)}")
    if held.is_meta and not of.tensor.is_meta:
        raise of.refused(f"its {name!r} is on meta, where there are no numbers; load it, or remove its state")
    _require_memory(of, f"its {name!r}", held)
    readable = type(held) in PLAIN and held.is_cpu and not (dispatch.watched() or passes.recording(held.device))
    if name == "step" and readable and held < 0:
        raise of.refused(f"its 'step' must be 0 or more, got {held.item():g}")


def _require_apart(of: NamedParameter, name: str, tensor: Tensor) -> None:
    if tensor.layout == torch.strided and not apart(tensor.shape, tensor.stride()):
        raise of.refused(
            f"several of {name} are one number in memory (an expanded tensor, or windows that overlap); give it a"
            " clone()"
        )


def _require_memory(of: NamedParameter, name: str, tensor: Tensor) -> None:
    """Raises `InputError` for freed memory. What never had any (meta, fake, lazily zero) takes the general path."""
    usual = (
        type(tensor) in PLAIN
        and tensor.layout == torch.strided
        and tensor.device.type != "meta"
        and not dispatch.watched()
    )
    if usual and not _lazy(tensor) and reach(tensor) and not has_memory(tensor):
        raise of.refused(f"{name} has no memory: its storage was freed or shrunk (untyped_storage().resize_)")


def _lazy(tensor: Tensor) -> bool:
    return tensor._is_zerotensor() or torch._is_functional_tensor(tensor)


def _of_numbers(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"
