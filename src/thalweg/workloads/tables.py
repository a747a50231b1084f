"""A table as training data: inputs and targets of a CSV or Parquet file, or of a DataFrame."""

import warnings
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from thalweg.errors import InputError, counted, listed, shown, suggest
from thalweg.workloads.columns import EncodedColumn, encode, matrix
from thalweg.workloads.data import Pairs
from thalweg.workloads.reading import DataWarning
from thalweg.workloads.splitting import Pair, divided, shares
from thalweg.workloads.table_files import read_table
from thalweg.workloads.table_targets import targets_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)  # compared by identity: `==` of tensors has no single truth value
class Table(Pairs):
    """Inputs and targets, to unpack as a pair: `X, y = table`.

    inputs: float32 `[rows, columns]`. targets: int64 `[rows]`, positions in `classes`; or float32 `[rows, 1]` of
    numbers, which are never standardized. classes: their names; empty where the targets are numbers. columns: the
    names of the input columns. values: float64 `[rows, columns]`, the inputs as read. numeric: bool `[columns]`, which
    columns are numbers and not 0 or 1 for yes or no. standardized: whether these are standardized in `inputs`.
    """

    inputs: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    values: Tensor
    numeric: Tensor
    standardized: bool

    def inputs_by(self, rows: Tensor) -> Tensor:
        return _standardized(self.values, self.numeric, rows) if self.standardized else self.inputs

    def split(self, validation: float = 0.2, test: float = 0.2, seed: int = 0) -> tuple[Pair, Pair, Pair]:
        """(train, validation, test), each a pair (inputs, targets), divided at random and stratified by class.

        Numbers are standardized by the mean and the standard deviation of the training rows alone, unlike `inputs`,
        so that nothing of the other rows reaches the training. A column that is constant there is centred only.

        Args:
            validation, test: shares of the rows, in (0, 1), together below 1.
            seed: a whole number from 0 to 2^63 - 1, on which alone the division depends.

        Raises:
            InputError: an argument is out of range, or a part would be empty.
        """
        index = shares(self.targets, {"validation": validation, "test": test}, seed)
        return divided(self.inputs_by(index["train"]), self.targets, index)


def table(
    source: Any,
    target: Hashable,
    *,
    features: Sequence[Hashable] | None = None,
    classes: bool | None = None,
    standardize: bool = True,
) -> Table:
    """Reads inputs and targets from a table: `X, y = thalweg.table("houses.csv", target="price")`.

    Numbers are inputs as they are, booleans 0 and 1. Texts and categories are one-hot encoded: a column `name_value`
    for each different value, in sorted order (of categories: theirs). Columns in which all rows have one value are
    dropped with a `DataWarning`, since a model learns nothing from them and they cannot be standardized; so is a
    nameless column that numbers the rows, which `DataFrame.to_csv` writes: it would give away the order of the file.

    Two files read one by one may have different columns and classes: read one, and divide it with `Table.split`.

    Args:
        source: the path of a .csv, .csv.gz, .tsv or .parquet file with a header, or a pandas DataFrame. An index of
            rows is no column.
        target: the name of the column to predict.
        features: the names of the columns to predict it from; `None` for all others.
        classes: whether the target is a class: `True` makes classes of whole numbers, `False` makes numbers 0 and 1 of
            booleans. `None`: texts, categories and booleans are classes, numbers are not; whole numbers of which there
            are few different ones bring a `DataWarning`.
        standardize: whether the inputs that are numbers get mean 0 and standard deviation 1 (of n, not of n - 1) over
            all rows. If some of these are test data, that is a leak, if a mild one, which `Table.split` avoids.

    Raises:
        InputError: the source cannot be read or is too large for the memory; a column does not exist, has missing,
            infinite or mixed values, dates, or text with more than 100 different values; the target has one value only,
            or does not fit `classes`.
    """
    for name, flag in (("standardize", standardize), *([] if classes is None else [("classes", classes)])):
        if not isinstance(flag, bool):
            raise InputError(f"{name} must be True or False, got {shown(flag)}.")
    frame = read_table(source)
    names = _features(frame, target, features)
    encoded = [encode(frame[name], str(name)) for name in names]
    kept = [column for column in encoded if not column.is_constant]
    if not kept:
        raise InputError("The table has no column left to predict from: each feature has one value in all rows.")
    targets, classes_found, note = targets_of(frame[target], str(target), classes)
    for sentence in (*_left_out(frame, target, names, features, encoded), *note):
        warnings.warn(sentence, DataWarning, stacklevel=2)
    values = torch.from_numpy(matrix(kept))
    numeric = torch.tensor([column.kind == "number" for column in kept for _ in column.names])
    return Table(
        inputs=_standardized(values, numeric) if standardize else values.float().contiguous(),
        targets=targets,
        classes=classes_found,
        columns=tuple(name for column in kept for name in column.names),
        values=values,
        numeric=numeric,
        standardized=standardize,
    )


def _features(frame: "pd.DataFrame", target: Hashable, features: Any) -> list[Hashable]:
    """The names of the columns to predict from."""
    columns = list(frame.columns)
    _require_column(target, columns, "target")
    if features is None:
        return [name for name in columns if name != target and not _numbers_rows(frame[name])]
    listed_ones = isinstance(features, Sequence) or hasattr(features, "tolist")  # a set has no order
    if isinstance(features, str) or not listed_ones or not len(features):
        raise InputError(f"features must be a list of column names, got {shown(features)}.")
    chosen = list(features)
    for i, name in enumerate(chosen):
        _require_column(name, columns, "features")
        if name == target or name in chosen[:i]:
            why = "is the target" if name == target else "stands there twice"
            raise InputError(f"features must be different columns other than the target, and {shown(name)} {why}.")
    return chosen


def _require_column(name: Hashable, columns: Sequence[Hashable], argument: str) -> None:
    if name not in columns:
        known = [str(column) for column in columns]
        near = suggest(str(name), known)
        raise InputError(
            f"{argument} must name columns of the table, got {shown(name)}."
            f" {near if near.startswith('Did') else f'It has {listed(known)}.'}"
        )


def _numbers_rows(column: "pd.Series[Any]") -> bool:
    """Whether this is the index that `DataFrame.to_csv` writes: a nameless column of whole numbers, all different."""
    nameless = str(column.name).startswith("Unnamed: ")  # pandas' own name for it
    return nameless and column.dtype.kind == "i" and column.is_unique


def _left_out(
    frame: "pd.DataFrame",
    target: Hashable,
    names: list[Hashable],
    features: Sequence[Hashable] | None,
    encoded: list[EncodedColumn],
) -> Iterator[str]:
    """A sentence for each reason for which columns are left out that were not chosen."""
    indices = [shown(str(name)) for name in frame.columns if name not in names and name != target]
    if features is None and indices:
        yield f"The table's {listed(indices)} numbers the rows and is left out; name it in features= to take it."
    constant = [shown(str(name)) for name, column in zip(names, encoded, strict=True) if column.is_constant]
    if constant:
        yield f"{counted(len(constant), 'column')} left out, with one value in all rows: {listed(constant)}."


def _standardized(values: Tensor, numeric: Tensor, rows: Tensor | None = None) -> Tensor:
    """float32 values, those in numeric columns less the mean of some rows (or all), divided by their deviation.

    In float64: of large numbers that differ little, such as seconds since 1970, float32 would leave nothing. By NumPy,
    whose sums, unlike torch's, are the same for any number of threads: studies know their data by its bits.
    """
    columns = torch.empty(values.shape[::-1])
    for i, is_number in enumerate(numeric.tolist()):
        column = values[:, i].numpy()
        some = column if rows is None else column[rows.numpy()]
        mean, scale = (some.mean(), some.std()) if is_number else (0.0, 1.0)
        if is_number and (some.min() == some.max() or scale == 0):  # the rounded mean of one value may differ from it
            mean, scale = some[0], 1.0
        columns[i] = torch.from_numpy((column - mean) / scale)
    return columns.T.contiguous()
