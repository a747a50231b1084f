"""The matrix of regularizers in the terminal, as data and on the page."""

import pytest
from handwritten import confirmed, run, study

from thalweg.analysis.leaderboard import leaderboard
from thalweg.records.types import RunRecord, StudyRecord
from thalweg.reports.factor_matrices import BY_REGULARIZER

SCORES = {
    "adam": [0.80, 0.82, 0.84], "adam + l2=1e-4": [0.82, 0.84, 0.865],
    "sgd": [0.70, 0.71, 0.72], "sgd + l2=1e-4": [0.71, 0.70, 0.72],
}  # fmt: skip


def made() -> tuple[StudyRecord, list[RunRecord]]:
    own = {
        name: {"optimizer": name.partition(" + ")[0], **({"regularizer": "l2=1e-4"} if "+" in name else {})}
        for name in SCORES
    }
    record = study(*SCORES, confirmation=3, factors=own, samples={"test": 1000})
    runs = [r for name, values in SCORES.items() for r in confirmed(name, values, factors=own[name])]
    return record, runs + [run(0.1, 0, values[0], name, factors=own[name]) for name, values in SCORES.items()]


def test_gains_stand_with_their_intervals() -> None:
    record, runs = made()
    found = BY_REGULARIZER.lines(record, leaderboard(record, runs), runs)
    assert found[0] == "By regularizer, test accuracy:"
    assert found[1].split() == ["optimizer", "regularizer", "score", "gain", "over", "none"]
    assert found[3].split()[0] == "l2=1e-4"
    assert "+2.2 (+1.4 to +2.9)" in found[3]  # of 2, 2 and 2.5: 2.1667 ± 4.3027·0.2887/√3
    assert "0.0 (−2.5 to +2.5)" in found[5]  # of 1, -1 and 0
    assert "With adam, l2=1e-4 gains 2.2 points (+1.4 to +2.9)." in found
    assert not any("With sgd" in line for line in found)
    facts = BY_REGULARIZER.facts(record, leaderboard(record, runs), runs)
    assert facts is not None
    gains = [cell["gain"]["mean"] for cell in facts["cells"] if cell["gain"]]
    assert gains == pytest.approx([0.065 / 3, 0.0])
    page = str(BY_REGULARIZER.section(record, leaderboard(record, runs), runs))
    assert "+2.2 (+1.4 to +2.9)" in page


def test_a_study_of_one_regularizer_has_no_matrix() -> None:
    record = study("adam", confirmation=3, samples={"test": 1000})
    runs = confirmed("adam", [0.1, 0.2, 0.3])
    assert BY_REGULARIZER.lines(record, leaderboard(record, runs), runs) == []
    assert BY_REGULARIZER.facts(record, leaderboard(record, runs), runs) is None
