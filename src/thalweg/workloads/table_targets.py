"""The target column of a table as class numbers or as numbers."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError, shown
from thalweg.workloads.columns import MOST_VALUES, distinct, kind_of, numbers

if TYPE_CHECKING:
    import pandas as pd

FEW = 20  # different whole numbers of a target, up to which they may be meant as classes

Targets: TypeAlias = tuple[Tensor, tuple[str, ...], list[str]]  # targets, names of classes, what to warn of


def targets_of(column: "pd.Series[Any]", name: str, classes: bool | None) -> Targets:
    """The targets, the names of their classes (none of numbers), and the sentences to warn of.

    Raises `InputError`: values are missing, infinite, dates or of several kinds; they are the same in all rows; they
    do not fit `classes`; or they are texts of which most stand in one row only.
    """
    kind = kind_of(column, name)
    number = kind == "number"
    if kind == "text" and classes is False:
        raise InputError(
            f"The target {shown(name)} holds texts or categories, which classes=False cannot take: omit it."
        )
    if classes or (classes is None and not number):
        return _of_classes(column, name, number)
    values = numbers(column, name)
    several = np.unique(values)
    _require_several(len(several), name)
    unclear = classes is None and len(several) <= FEW and bool((several == np.floor(several)).all())
    note = (
        f"The target {shown(name)} has {len(several)} different whole numbers, which are predicted as numbers: say"
        " classes=True if they are classes, else classes=False."
    )
    return torch.tensor(values, dtype=torch.float32)[:, None], (), [note] if unclear else []


def _of_classes(column: "pd.Series[Any]", name: str, number: bool) -> Targets:
    if number:
        values = numbers(column, name)
        fractions = values != np.floor(values)
        if fractions.any():
            row = int(fractions.argmax())
            raise InputError(
                f"classes=True makes classes of whole numbers, and the target {shown(name)} has {values[row]:g} in row"
                f" {row} counted from 0; omit it, or round the numbers."
            )
    names, codes = distinct(column)
    _require_several(len(names), name)
    if len(names) > MOST_VALUES and 2 * len(names) > len(column):
        raise InputError(
            f"The target {shown(name)} has {len(names):,} different classes in {len(column):,} rows: it seems to be an"
            " identifier, or numbers that are written as text; convert it, or give another target."
        )
    whole = [str(int(float(n))) if number and "." in n else n for n in names]
    return torch.tensor(codes), tuple(whole), []


def _require_several(values: int, name: str) -> None:
    if values < 2:
        raise InputError(f"The target {shown(name)} has one value in all rows, so there is nothing to learn.")
