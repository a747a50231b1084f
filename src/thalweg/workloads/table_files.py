"""CSV and Parquet files as pandas DataFrames, or refused in one sentence."""

import os
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.errors import InputError, first_line, listed, shown

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS: Mapping[str, str] = {".csv": ",", ".csv.gz": ",", ".tsv": "\t"}
PARQUET = ".parquet"
OTHER_SEPARATORS: Mapping[str, str] = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}


def read_table(source: Any) -> "pd.DataFrame":
    """The rows of a file, by its suffix in any case, or a DataFrame itself; its index is no column.

    Spaces before a CSV value are no part of it. Raises `InputError`: another suffix or kind of object, a file that
    cannot be read, Parquet without pyarrow, no rows, columns of one name or with names of several levels.
    """
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        frame = source
    elif isinstance(source, str | os.PathLike):
        frame = _read(Path(os.fspath(source)))
    else:
        raise InputError(
            f"source must be the path of a CSV or Parquet file, or a pandas DataFrame, got {type(source).__name__}."
        )
    if frame.columns.nlevels > 1:
        raise InputError("The table must have one level of column names, and has several; join them.")
    _require_distinct([str(name) for name in frame.columns], "The table")
    if not len(frame):
        raise InputError("The table has no rows; give it at least two.")
    return frame


def _read(path: Path) -> "pd.DataFrame":
    suffix = next((s for s in (*SEPARATORS, PARQUET) if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise InputError(
            f"{path} has none of the suffixes {', '.join(SEPARATORS)} and {PARQUET}: convert the file, or read it with"
            " pandas and give the DataFrame."
        )
    try:
        return _read_parquet(path) if suffix == PARQUET else _read_csv(path, SEPARATORS[suffix])
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or first_line(error)).rstrip('.')}.") from None
    except Exception as error:  # parsers and decompressors raise classes of their own
        kind = "Parquet" if suffix == PARQUET else "a table"
        raise InputError(f"{path} cannot be read as {kind}: {first_line(error).rstrip('.')}.") from None


def _read_csv(path: Path, separator: str) -> "pd.DataFrame":
    import pandas as pd

    how: dict[str, Any] = {
        "sep": separator,
        "skipinitialspace": True,
        "compression": "gzip" if path.name.lower().endswith(".gz") else None,
    }
    # pandas renames the second of two columns of one name, by which a copy of the target would become a feature.
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **how)
    names = [name for name in header.iloc[0] if name]
    _require_distinct(names, str(path))
    other = next((word for sign, word in OTHER_SEPARATORS.items() if len(names) == 1 and sign in names[0]), None)
    if other:
        raise InputError(
            f"{path} has one column, {shown(names[0])}, and seems to be separated by {other}: write it with"
            f" {'commas' if separator == ',' else 'tabs'}, or read it with pandas and give the DataFrame."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header lose values
        # With low_memory a column is parsed in pieces, which may be of different types.
        try:
            frame: pd.DataFrame = pd.read_csv(path, index_col=False, low_memory=False, **how)
        except pd.errors.ParserWarning:
            raise InputError(f"{path} has rows of more values than its header has names; name all columns.") from None
    return frame


def _read_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_parquet(path, engine="pyarrow")
    except ImportError:
        raise InputError(
            "Parquet is read by pyarrow 15 or later, which is not installed: run pip install 'thalweg[parquet]', or"
            " give a CSV file."
        ) from None


def _require_distinct(names: list[str], where: str) -> None:
    several = [shown(name) for name, count in Counter(names).items() if count > 1]
    if several:
        raise InputError(f"{where} has more than one column called {listed(several)}; rename or remove all but one.")
