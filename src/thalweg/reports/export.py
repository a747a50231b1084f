"""Exports a study as CSV, Parquet or JSON."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from thalweg.errors import InputError, suggest
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.facts import plain
from thalweg.reports.frames import Column, curves_columns, frame, runs_columns
from thalweg.reports.page import write

FORMATS = ("csv", "parquet", "json")
FORMULA = "=+-@＝＋－＠"  # a spreadsheet evaluates a cell that begins with one of these
GUARD = "'"


def export(study: StudyRecord, runs: Sequence[RunRecord], format: str, path: Path) -> tuple[Path, ...]:
    """Writes a study's runs in `format`; returns the files written, the one at `path` first.

    `json` writes one file with the study and all runs. `csv` and `parquet` write one row per run at `path`
    (`frames.runs_columns`), and one row per measurement to `<stem>-curves.<format>` in the same directory
    (`frames.curves_columns`). Every file is written atomically, the one at `path` last.

    In CSV an empty cell is a missing value, and numbers have all their digits. Text that a spreadsheet would evaluate
    as a formula, because it begins with = + - or @ (also after blanks), is prefixed with an apostrophe, as is text that
    begins with an apostrophe: strip the first apostrophe to recover it. In JSON, and in JSON text within cells,
    non-finite numbers are null.

    Raises:
        InputError: unknown format, a path that cannot be written, or Parquet without pyarrow.
    """
    if format not in FORMATS:
        raise InputError(f"There is no format {format!r} to export to. {suggest(format, FORMATS)}")
    if path.is_dir():
        raise InputError(f"{path} cannot be written: Is a directory; give a file in it.")
    if format == "json":
        return _written([(path, as_json(study, runs))])
    encode = csv_of if format == "csv" else parquet_of
    curves = path.with_name(f"{path.stem}-curves.{format}")
    return _written([(path, encode(runs_columns(study, runs))), (curves, encode(curves_columns(runs)))])


DERIVED = ("optimizer", "learning_rate", "validation_metric", "ending", "ended_at")
"""Properties of a run that are exported beside its fields."""


def as_json(study: StudyRecord, runs: Sequence[RunRecord]) -> str:
    """`{"study": …, "runs": […]}` with the fields of `StudyRecord` and `RunRecord`, curves within their runs.

    Each run also has what is derived of them in the CSV (`DERIVED`).
    """
    data: dict[str, Any] = {"study": asdict(study), "runs": [_run(run) for run in runs]}
    return json.dumps(plain(data), indent=2, allow_nan=False, default=str) + "\n"


def _run(run: RunRecord) -> dict[str, Any]:
    return {**asdict(run), **{name: getattr(run, name) for name in DERIVED}}


def csv_of(columns: Sequence[Column]) -> str:
    """CSV text with a header row, `\\n` line ends, and formulas escaped by an apostrophe; as pandas writes it, whose
    import takes longer than all else."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(name for name, _, _ in columns)
    writer.writerows(zip(*([_cell(value, kind) for value in values] for _, values, kind in columns), strict=True))
    return out.getvalue()


def _cell(value: Any, kind: str) -> str:
    """A value of a column of that dtype; empty where it is missing."""
    if value is None or value != value:  # NaN
        return ""
    if kind == "string":
        return _guarded(str(value))
    return repr(float(value)) if kind == "Float64" else str(bool(value) if kind == "boolean" else int(value))


def parquet_of(columns: Sequence[Column]) -> bytes:
    """Parquet bytes with the columns' dtypes. Raises `InputError` where pyarrow is missing or too old."""
    out = BytesIO()
    try:
        frame(columns).to_parquet(out, engine="pyarrow", index=False)
    except ImportError:
        raise InputError(
            "Parquet is written by pyarrow 15 or later, which is not installed: run pip install 'thalweg[parquet]', "
            "or export to csv or json."
        ) from None
    return out.getvalue()


def _guarded(text: str) -> str:
    return GUARD + text if text.lstrip()[:1] in tuple(FORMULA) or text.startswith(GUARD) else text


def _written(files: Sequence[tuple[Path, str | bytes]]) -> tuple[Path, ...]:
    """Writes the first file last, so that its presence implies that of the others."""
    for path, content in reversed(files):
        try:
            write(path, content)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{path} cannot be written: {reason}; give a file in a directory that exists.") from None
    return tuple(path for path, _ in files)
