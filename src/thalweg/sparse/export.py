"""Models with real zeros on disk: safetensors files, sparse matrices in compressed rows (CSR) or dense."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor, nn

from thalweg.errors import InputError, first_line, listed, shown

FORMATS = ("csr", "dense")
METADATA = "thalweg_sparse"
SHORT = 2**15  # columns that 16 bits hold
PARTS = ("rows", "columns", "values")


@dataclass(frozen=True)
class Exported:
    """A written file. bytes: of it; dense_bytes: of the same model written densely. sparse: parameters in rows."""

    path: Path
    bytes: int
    dense_bytes: int
    sparse: tuple[str, ...]


def export(model: nn.Module, path: str | PathLike[str], format: str = "csr") -> Exported:
    """Writes a model's parameters and buffers to a safetensors file, atomically.

    Args:
        model: as it is; nothing is pruned here.
        path: a `.safetensors` file in a directory that exists.
        format: `"csr"`: of each tensor of two dimensions and more (seen as `[units, inputs]`) that takes less so, row
            ends, columns and values; `"dense"`: every number.

    Raises:
        InputError: another format, or a path that cannot be written.
    """
    from safetensors.torch import save_file

    if format not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {shown(format)}.")
    where = Path(path)
    if where.suffix != ".safetensors":
        raise InputError(f"path must be a .safetensors file, got {shown(str(path))}.")
    dense = {name: t.detach().cpu().contiguous().clone() for name, t in model.state_dict().items()}
    out, shapes = _in_rows(dense) if format == "csr" else (dense, {})
    try:
        with tempfile.TemporaryDirectory(dir=where.parent) as folder:
            written, whole = Path(folder) / "sparse", Path(folder) / "dense"
            save_file(out, written, {METADATA: json.dumps(shapes)})
            save_file(dense, whole)
            sizes = written.stat().st_size, whole.stat().st_size
            written.replace(where)
    except OSError as error:
        raise InputError(f"The model cannot be written to {where}: {error.strerror or first_line(error)}.") from None
    return Exported(where, *sizes, tuple(shapes))


def sizes(tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """(bytes in rows where that is smaller, bytes of all numbers) that these tensors take in a file, but its header."""
    dense = {name: t.detach().cpu() for name, t in tensors.items()}
    return _bytes(_in_rows(dense)[0]), _bytes(dense)


def _in_rows(dense: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """The tensors, in rows where that is smaller, and the shapes of those that are."""
    out, shapes = dict(dense), dict[str, list[int]]()
    for name, tensor in dense.items():
        parts = _compressed(tensor)
        named = {f"{name}.{part}": t for part, t in (parts or {}).items()}
        if parts is not None and _bytes(parts) < _bytes({name: tensor}) and not named.keys() & dense.keys():
            del out[name]
            out |= named
            shapes[name] = list(tensor.shape)
    return out, shapes


def load(model: nn.Module, path: str | PathLike[str]) -> nn.Module:
    """Loads what `export` wrote into a model of the same architecture, and returns it.

    Raises:
        InputError: a file that cannot be read, or that is of another model.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            shapes = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a safetensors file: {first_line(error)}.") from None
    for name, shape in shapes.items():
        try:
            ends, columns, values = (found.pop(f"{name}.{part}") for part in PARTS)
            found[name] = _dense(ends, columns, values, shape)
        except (KeyError, RuntimeError, IndexError, ValueError):
            raise InputError(
                f"{path} is damaged: the rows of {name!r} do not make a tensor of shape {shape}."
            ) from None
    _require_same(model.state_dict(), found, path)
    model.load_state_dict(found)
    return model


def _dense(ends: Tensor, columns: Tensor, values: Tensor, shape: list[int]) -> Tensor:
    """The tensor of a shape; indices are checked, as torch's sparse tensors do not."""
    out = values.new_zeros(shape)
    row = torch.repeat_interleave(torch.arange(shape[0]), ends.long().diff())
    column = columns.long()
    if bool((column < 0).any()):
        raise IndexError("a column below 0")
    out.view(shape[0], -1)[row, column] = values
    return out


def _require_same(own: Mapping[str, Tensor], found: Mapping[str, Tensor], path: str | PathLike[str]) -> None:
    differing = [n for n in {**own, **found} if n not in own or n not in found or own[n].shape != found[n].shape]
    if differing:
        raise InputError(f"{path} is of another model: {listed(differing)} differ in name or shape.")


def _compressed(tensor: Tensor) -> dict[str, Tensor] | None:
    """Row ends, columns and values of the nonzero numbers; `None` for what is no matrix of floating-point numbers."""
    if tensor.ndim < 2 or not tensor.is_floating_point() or not tensor.numel():
        return None
    matrix = tensor.reshape(len(tensor), -1)
    row, column = matrix.nonzero(as_tuple=True)
    ends = torch.zeros(len(matrix) + 1, dtype=torch.int32)
    ends[1:] = torch.bincount(row, minlength=len(matrix)).cumsum(0)
    kind = torch.int16 if matrix.shape[1] <= SHORT else torch.int32
    return {"rows": ends, "columns": column.to(kind), "values": matrix[row, column]}


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors.values())
