"""Columns of a table as numbers: one-hot encoding, class numbers, and what is refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalweg.errors import InputError, first_line, shown
from thalweg.workloads.reading import require_memory

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 100  # of a column that is one-hot encoded: with more it is an identifier, a date or free text
BYTES = 16  # of an encoded number: float64 as read, float32 as input and once more while that is made
OR_OMIT = ", or leave the column out with features="

Kind: TypeAlias = Literal["number", "boolean", "text"]
KINDS: dict[str, Kind | Literal["date"]] = {
    "integer": "number", "floating": "number", "decimal": "number", "mixed-integer-float": "number",
    "boolean": "boolean", "string": "text", "categorical": "text",
    "date": "date", "datetime": "date", "datetime64": "date", "time": "date", "timedelta": "date",
    "timedelta64": "date", "period": "date",
}  # fmt: skip
"""By the words of `pandas.api.types.infer_dtype`."""

DATE = re.compile(r"\s*(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{4})([T\s].*)?")


@dataclass(frozen=True)
class EncodedColumn:
    """A column of the table. `names`: of the input columns that it becomes.

    values: float64 `[rows]`; of text, `int64` `[rows]`, which of `names` a row has.
    """

    names: Sequence[str]
    values: NDArray[Any]
    kind: Kind

    @property
    def is_constant(self) -> bool:
        """Whether all rows have one value, from which nothing can be learnt."""
        return bool((self.values == self.values[0]).all())


def encode(column: "pd.Series[Any]", name: str) -> EncodedColumn:
    """Numbers as they are, booleans as 0 and 1, one number for each value of a text or categorical column.

    Raises `InputError`: values are missing, infinite, beyond float32, dates, of several kinds, or text of more than
    `MOST_VALUES` different values.
    """
    kind = kind_of(column, name, OR_OMIT)
    if kind != "text":
        return EncodedColumn([name], numbers(column, name), kind)
    values, codes = distinct(column)
    if len(values) > MOST_VALUES:
        raise InputError(
            f"Column {shown(name)} has {len(values):,} different texts or categories, and at most {MOST_VALUES} are"
            f" one-hot encoded{_not_a_number(column)}: leave it out with features=, or turn it into numbers."
        )
    return EncodedColumn([f"{name}_{value}" for value in values], codes, kind)


def kind_of(column: "pd.Series[Any]", name: str, remedy: str = "") -> Kind:
    """What a column holds. Raises `InputError` if values are missing, or are dates or of another kind.

    remedy: the end of that sentence.
    """
    import pandas as pd

    missing = column.isna().to_numpy(dtype=bool)
    if missing.any():
        raise InputError(
            f"Column {shown(name)} misses {missing.sum():,} of its {len(column):,} values, first in row"
            f" {missing.argmax()} counted from 0 (an empty field, NA, None, null and NaN are missing ones); fill or"
            f" remove them{remedy}."
        )
    word = pd.api.types.infer_dtype(column, skipna=False)
    kind = KINDS.get(word)
    if word == "categorical" and KINDS.get(pd.api.types.infer_dtype(column.cat.categories)) == "date":
        kind = "date"
    if kind == "date" or (kind == "text" and _are_dates(column)):
        raise InputError(
            f"Column {shown(name)} holds dates or times; turn it into numbers, such as days or the month{remedy}."
        )
    if kind is None:
        raise InputError(
            f"Column {shown(name)} must hold numbers, booleans, texts or categories, got {word} values; convert"
            f" it{remedy}."
        )
    return kind


def numbers(column: "pd.Series[Any]", name: str) -> NDArray[np.float64]:
    """A column of numbers or booleans as float64 `[rows]`. Raises `InputError` beyond the range of float32."""
    try:
        values = column.to_numpy(dtype=np.float64)
    except Exception as error:  # integers beyond float64, or a class of numbers that does not convert
        raise InputError(f"Column {shown(name)} cannot be read as numbers: {first_line(error).rstrip('.')}.") from None
    wrong = ~(np.abs(values) <= np.finfo(np.float32).max)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"Column {shown(name)} must hold finite numbers in the range of float32, got {values[row]:g} in row {row}"
            " counted from 0; remove or rescale it."
        )
    return values


def distinct(column: "pd.Series[Any]") -> tuple[list[str], NDArray[np.int64]]:
    """(The different values in order, which of them each row has, `[rows]`).

    The order is that of the categories, of which those that no row has are left out; of other values the sorted one.
    """
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories().cat
        return [str(value) for value in used.categories], used.codes.to_numpy().astype(np.int64)
    codes, values = pd.factorize(column, sort=True)
    return [str(value) for value in values], codes.astype(np.int64)


def matrix(columns: Sequence[EncodedColumn]) -> NDArray[np.float64]:
    """All input columns, `[rows, columns]`, each contiguous. Raises `InputError` if they do not fit into memory."""
    rows, width = len(columns[0].values), sum(len(column.names) for column in columns)
    require_memory(rows * width * BYTES, f"{rows:,} rows of {width:,} columns", "give fewer of them")
    filled, start = np.zeros((width, rows)), 0
    for column in columns:
        if column.kind == "text":
            filled[start + column.values, np.arange(rows)] = 1
        else:
            filled[start] = column.values
        start += len(column.names)
    return filled.T


def _are_dates(column: "pd.Series[Any]") -> bool:
    """Whether all values are texts like 2024-12-31, 31.12.2024 or 2024-12-31 08:00."""
    return all(isinstance(value, str) and DATE.fullmatch(value) for value in column.unique())


def _not_a_number(column: "pd.Series[Any]") -> str:
    """Of a column whose texts are mostly numbers, a part of a sentence that says which is none."""
    import pandas as pd

    wrong = pd.to_numeric(column.astype(object), errors="coerce").isna().to_numpy()
    if not 0 < wrong.mean() < 0.5:
        return ""
    row = int(wrong.argmax())
    return f"; most are numbers, and row {row} counted from 0 has {shown(column.iloc[row])}"
