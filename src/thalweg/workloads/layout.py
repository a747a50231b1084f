"""How a batch's tensors are given to a user's code: to the model by place or by name, to the loss one or several."""

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from thalweg.errors import InputError
from thalweg.workloads.reading import DataWarning
from thalweg.workloads.source import Batch

TARGETS = ("labels", "label", "targets", "target", "y")
"""Names under which a batch by names has its targets, in capitals or not."""


@dataclass(frozen=True)
class Layout:
    """How a batch is made of its tensors, of which `Batch.targets` is the first target.

    inputs: number of tensors that the model is given, the first of `Batch.inputs`; the others are further targets.
    names: under which the model takes them; empty for by place. targets: names of several targets, or their number as
    so many empty names; empty for one tensor. whole: what a custom step is given, made from names and tensors: a class
    of the user's, `dict`, `tuple` for `(X, …, y)`, or `None` for `(X, y)`. target: the name of the targets in that;
    empty where it has several, by the names `targets`.
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
            own = {self.target: targets} if self.target else targets
            return self.whole(**dict(zip(self.names, inputs, strict=True)), **own)
        if self.names:
            return dict(zip(self.names, inputs, strict=True)), targets
        return (inputs[0] if self.inputs == 1 else inputs), targets


def divided(name: str, batch: Any, *, step: bool = False) -> tuple[tuple[Any, ...], Any, Layout]:
    """Returns (inputs and further targets, the first targets, their layout) of a batch or of whole data.

    `(X, y)`, of which each may be a tuple or a dict of several; or a dict, a dataclass or a named tuple, whose y is the
    field with a name among `TARGETS`, wherever it stands. The model takes the other fields of a dict or a dataclass by
    name, those of a named tuple by place. The last field of a named tuple is y where no name says so, with a
    `DataWarning`. step: whether a custom step takes batches, which need no targets then, and may have several of those
    names: all of these are targets. It is given the batch as it is.

    Raises `InputError` for anything else, and if several fields have such a name and a loss takes one.
    """
    fields = _fields(batch)
    if fields is not None and (step or not hasattr(batch, "_fields")):
        return _by_names(name, fields, dict if isinstance(batch, Mapping) else type(batch), step=step)
    if fields is not None and len(fields) > 1:
        return _by_place(name, fields)
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


def _fields(batch: Any) -> dict[str, Any] | None:
    """The fields of a batch by names; `None` if it has none."""
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    if isinstance(batch, Mapping):
        return dict(batch)
    names = getattr(batch, "_fields", None) if isinstance(batch, tuple) else None
    return None if names is None else dict(zip(names, batch, strict=True))


def _by_names(name: str, fields: dict[str, Any], whole: Any, *, step: bool) -> tuple[tuple[Any, ...], Any, Layout]:
    if any(isinstance(of, Dataset) or hasattr(of, "with_format") for of in fields.values()):
        raise InputError(
            f"{name} is a dict of datasets, {', '.join(map(str, fields))}: give one of them for each split, such as"
            f" train=data[{next(iter(fields))!r}]."
        )
    found = _targets(name, fields, step=step)
    if not found and not step:
        raise InputError(
            f"{name} has {', '.join(map(str, fields))}, and the loss needs targets: name them one of"
            f" {', '.join(TARGETS)}, or give step= a function of (model, batch)."
        )
    if not found or (step and len(found) == len(fields)):
        *names, last = fields
        inputs = tuple(fields[n] for n in names)
        return inputs, fields[last], Layout(len(inputs), tuple(names), (), whole, last)
    several = {key: fields.pop(key) for key in found}
    y, target = (several[found[0]], found[0]) if len(found) == 1 else (several, "")
    parts, first, of_pair = _joined(name, fields, y)
    return parts, first, dataclasses.replace(of_pair, whole=whole, target=target)


def warn_of_last(layout: Layout | None, predict: Any) -> None:
    """Says that the metric of a custom step's predictions is given the last field, which no name shows to be y."""
    if predict is not None and layout is not None and layout.target and layout.target.lower() not in TARGETS:
        warnings.warn(
            f"train has {', '.join((*layout.names, layout.target))}: the metric is given {layout.target!r}, the last,"
            f" as targets, as none is named one of {', '.join(TARGETS)}.",
            DataWarning,
            stacklevel=2,
        )


def _by_place(name: str, fields: dict[str, Any]) -> tuple[tuple[Any, ...], Any, Layout]:
    """Of a named tuple: y by its name, else the last."""
    found = _targets(name, fields, step=False)
    if not found:
        warnings.warn(
            f"{name} has named tuples of {', '.join(fields)}: the last is taken for the targets, as none is named one"
            f" of {', '.join(TARGETS)}.",
            DataWarning,
            stacklevel=2,
        )
    y = fields.pop(found[0] if found else [*fields][-1])
    inputs = tuple(fields.values())
    return _joined(name, inputs[0] if len(inputs) == 1 else inputs, y)


def _targets(name: str, fields: Mapping[str, Any], *, step: bool) -> list[str]:
    """The fields with a name of targets. Raises `InputError` if there are several and no custom step."""
    found = [key for key in fields if isinstance(key, str) and key.lower() in TARGETS]
    if len(found) > 1 and not step:
        one, *others = found
        raise InputError(
            f"{name} has {' and '.join(found)}, each a name for targets: rename what is none, leave it out, or give"
            f" (X, y) with a dict of the inputs as X and as y what the loss takes, batch[{one!r}] or"
            f" batch[{others[0]!r}]."
        )
    return found


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
        raise InputError(
            f"{name}: {part} holds {_told(nested)} within another: give tensors, one beside the other, as a dataset of"
            " Hugging Face does that is data.with_format('torch')."
        )
    return names, values


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or bool(getattr(value, "shape", ()))


def _told(value: Any) -> str:
    length = f" of length {len(value)}" if isinstance(value, tuple | list) else ""
    return f"{type(value).__name__}{length}"
