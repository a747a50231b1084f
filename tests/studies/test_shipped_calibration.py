"""The calibration in the package: what it promises, and where its numbers come from."""

import math
from pathlib import Path

import pytest

from thalweg.analysis.range_calibration import FEATURES, RangeCalibration
from thalweg.studies import shipped_calibration
from thalweg.studies.protocol import TEXTBOOK
from thalweg.studies.shipped_calibration import shipped


def test_it_knows_the_textbooks_optimizers() -> None:
    found = shipped()
    assert {*found.reaches} == {*found.offsets} == {*TEXTBOOK}
    assert {*found.weights} == {*FEATURES}
    assert all(0 < reach < math.inf for reach in (*found.reaches.values(), found.reach_unknown))
    assert found.coverage == 0.9


def test_its_source() -> None:
    source = shipped().source
    assert source["command"].startswith("benchmarks/range_test.py")
    assert "--quick" not in source["command"]
    assert source["held out"]["tasks"] >= 100
    low, high = source["steps"]
    assert 1 <= low < high


def test_what_is_shipped_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibration = RangeCalibration({"depth": 0.1}, 0.2, {"adam": 0.3}, {"adam": 0.4}, 0.5, 0.9, {"steps": [1, 2]})
    monkeypatch.setattr(shipped_calibration, "FILE", tmp_path / "calibration.json")
    shipped.cache_clear()
    try:
        shipped_calibration.ship(calibration)
        assert shipped() == calibration
    finally:
        shipped.cache_clear()
