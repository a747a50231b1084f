"""The calibration of the range test that is shipped, as `benchmarks/range_test.py --write` writes it."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from thalweg.analysis.range_calibration import RangeCalibration

FILE = Path(__file__).with_name("range_calibration.json")


@cache
def shipped() -> RangeCalibration:
    """The calibration in the package."""
    return RangeCalibration(**json.loads(FILE.read_text(encoding="utf-8")))


def ship(calibration: RangeCalibration) -> None:
    """Puts a calibration into the package, in the place of the one before."""
    text = json.dumps(asdict(calibration), indent=1, allow_nan=False)
    FILE.write_text(text + "\n", encoding="utf-8")
