"""How a batch's tensors are given to a user's code: to the model by place or by name, to the loss one or several."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from thalweg.errors import InputError
from thalweg.workloads.source import Batch

TARGETS = ("labels", "label", "targets", "target", "y")
"""Names under which a batch by names has its targets."""


@dataclass(frozen=True)
class Layout:
    """How a batch is made of its tensors, of which `Batch.targets` is the first target.

    inputs: number of tensors that the model is given, the first of `Batch.inputs`; the others are further targets.
    names: under which the model takes them; empty for by place. targets: names of several targets, or their number as
    so many empty names; empty for one tensor. whole: what a custom step is given, made from names and tensors: a class
    of the user's, `dict`, `tuple` for `(X, …, y)`, or `None` for `(X, y)`. target: the name of the targets in that.
    """

    inputs: int = 1
    names: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    whole: Any = None
    target: str = ""

    def call(self, model: Any, batch: Batch) -> Any:
        """The model's outputs."""
        given = batch.inputs[: self.inputs]
        return model(**dict(zip(self.names, given, strict=True))) if self.names else model(*given)

    def further(self, batch: Batch) -> tuple[Tensor, ...]:
        """The targets beside the first."""
        return batch.inputs[self.inputs :]

    def targets_of(self, first: Tensor, further: tuple[Tensor, ...]) -> Any:
        """The targets as the user has them: a tensor, a tuple or a dict."""
        if not self.targets:
            return first
        tensors = (first, *further)
        return dict(zip(self.targets, tensors, strict=True)) if all(self.targets) else tensors

    def packed(self, batch: Batch) -> Any:
        """The batch as the user has it: `(X, y)`, a dict, or an object of the user's class."""
        inputs, targets = batch.inputs[: self.inputs], self.targets_of(batch.targets, self.further(batch))
        if not self.inputs and self.whole is None:
            return targets
        if self.whole is tuple:
            return (*inputs, targets)
        if self.whole is not None:
            fields = {**dict(zip(self.names, inputs, strict=True)), **({self.target: targets} if self.target else {})}
            return self.whole(**fields)
        if self.names:
            return dict(zip(self.names, inputs, strict=True)), targets
        return (inputs[0] if self.inputs == 1 else inputs), targets


def divided(name: str, batch: Any, *, step: bool = False) -> tuple[tuple[Any, ...], Any, Layout]:
    """Returns (inputs and further targets, the first targets, their layout) of a batch or of whole data.

    `(X, y)`, of which each may be a tuple or a dict of several; or a dict or a dataclass that has y under one of the
    names `TARGETS`. step: whether a custom step takes batches, which need no targets then; a tuple of tensors or a
    named tuple remains as it is. Raises `InputError` for anything else.
    """
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        fields = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
        return _by_names(name, fields, type(batch), step=step)
    if isinstance(batch, Mapping):
        return _by_names(name, dict(batch), dict, step=step)
    if step and hasattr(batch, "_fields"):
        return _by_names(name, batch._asdict(), type(batch), step=step)
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return _joined(name, *batch)
    if step and isinstance(batch, tuple) and batch and all(map(_is_array, batch)):  # of one tensor, or of many
        *xs, y = batch
        return tuple(xs), y, Layout(len(xs), whole=tuple)
    if step:
        return (), batch, Layout(0)
    raise InputError(
        f"{name} must be a pair (X, y) of tensors, or a dict with its targets under one of {', '.join(TARGETS)}, got"
        f" {_told(batch)}."
    )


def _by_names(name: str, fields: dict[str, Any], whole: Any, *, step: bool) -> tuple[tuple[Any, ...], Any, Layout]:
    found = [key for key in TARGETS if key in fields]
    if not found and not step:
        raise InputError(
            f"{name} has {', '.join(map(str, fields))}, and the loss needs targets: name them one of"
            f" {', '.join(TARGETS)}, or give step= a function of (model, batch)."
        )
    if not found:
        *names, last = fields
        inputs = tuple(fields[n] for n in names)
        return inputs, fields[last], Layout(len(inputs), tuple(names), (), whole, last)
    y = fields.pop(found[0])
    parts, first, of_pair = _joined(name, fields, y)
    return parts, first, dataclasses.replace(of_pair, whole=whole, target=found[0])


def _joined(name: str, inputs: Any, targets: Any) -> tuple[tuple[Any, ...], Any, Layout]:
    names, xs = _parts(name, "X", inputs)
    if isinstance(targets, Mapping) or (isinstance(targets, tuple) and targets and all(map(_is_array, targets))):
        of, (first, *further) = _parts(name, "y", targets)
        return (*xs, *further), first, Layout(len(xs), names, of or ("",) * (1 + len(further)))
    return xs, targets, Layout(len(xs), names)


def _parts(name: str, part: str, given: Any) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """(names if by name, the tensors). A list is data, as torch reads it."""
    if isinstance(given, Mapping):
        if not given or not all(isinstance(key, str) for key in given):
            raise InputError(f"{name}: {part} must have names that are texts, and at least one, got {list(given)}.")
        names, values = tuple(given), tuple(given.values())
    else:
        names, values = (), given if isinstance(given, tuple) else (given,)
    nested = next((v for v in values if isinstance(v, Mapping | tuple)), None)
    if nested is not None:
        raise InputError(f"{name}: {part} holds {_told(nested)} within another: give tensors, one beside the other.")
    return names, values


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or bool(getattr(value, "shape", ()))


def _told(value: Any) -> str:
    length = f" of length {len(value)}" if isinstance(value, tuple | list) else ""
    return f"{type(value).__name__}{length}"
