"""The sections on stars, trust and cost: their tables against numbers computed by hand."""

from dataclasses import replace
from typing import Any

import pytest
from handmade import finals, rates, run, study
from pairs import MADE, Made, known, never_ran, sensitive_first, unconfirmed
from reading import Reader

from thalweg.analysis.caveats import doubts
from thalweg.analysis.leaderboard import leaderboard
from thalweg.analysis.stars import RULE
from thalweg.reports import cost, sections, stars, trust
from thalweg.reports.figures.formatting import memory, pace, signed

EVIL = "<script>alert(1)</script>"


def read(section: Any, made: Made) -> Reader:
    record, runs = made
    return Reader(section(record, leaderboard(record, runs)))


def cells(reader: Reader) -> list[list[str]]:
    """The table's lines without its head."""
    return [[" ".join(cell.split()) for cell in line] for line in reader.rows[1:]]


def heads(reader: Reader) -> list[str]:
    return [" ".join(cell.split()) for cell in reader.rows[0]]


def test_stars_in_rank_order_with_their_rule() -> None:
    reader = read(stars.section, known())
    assert heads(reader) == ["optimizer", "speed", "quality", "steps to 85%", "test accuracy"]
    adam, sgd = cells(reader)
    assert adam[:4] == ["adam recommended", "★★★", "★★★", "20"]
    assert adam[4] == "89.0% 88.0, 90.0"  # of two seeds, both values
    assert sgd[:4] == ["sgd", "★ ☆☆", "★ ☆☆", "– 0/2 reached"]
    assert reader.values("aria-label") == ["Stars", "3 of 3", "3 of 3", "1 of 3", "1 of 3"]
    assert RULE in reader.visible


def test_no_speed_without_a_target() -> None:
    reader = read(stars.section, never_ran())
    assert heads(reader) == ["optimizer", "quality", "test accuracy"]
    assert cells(reader)[1] == ["ghost", "–", "–"]
    assert "no target" in " ".join(reader.visible)


def test_trust_in_numbers() -> None:
    reader = read(trust.section, known())
    assert heads(reader)[1:4] == ["tuned over defaults, points", "good range", "random learning rate"]
    adam, sgd = cells(reader)
    assert [cell.split()[0] for cell in adam] == ["adam", "+17.0", "0.1", "82.5%", "+6.0", "+1.0", "91.0%", "–"]
    assert adam[2] == "0.1 0.0 decades"
    assert adam[1] == "+17.0 +4.3 to +29.7"  # Student's t of two values, 12.706 times their standard error of 0.01
    assert [cell.split()[0] for cell in sgd] == ["sgd", "–", "–", "–", "0.0", "+19.0", "–", "0%"]


def test_doubts_are_listed() -> None:
    record, runs = known()
    said = doubts(record, leaderboard(record, runs))
    reader = read(trust.section, known())
    assert said
    assert all(sentence in reader.visible for sentence in said)
    assert sum(tag == "li" for tag, _ in reader.elements) == len(said)


def test_nothing_to_trust_is_said() -> None:
    dead = [*rates({0.1: (None, None)}), *finals((None, None), 0.1)]
    assert "There is no answer to trust." in read(trust.section, (study(), dead)).visible


def test_what_needs_fresh_seeds_is_left_out_without_them() -> None:
    assert heads(read(trust.section, unconfirmed()))[1:] == [
        "good range", "random learning rate", "overfitting, points", "P(beats adam)",
    ]  # fmt: skip


def test_other_metrics_have_no_points() -> None:
    record, runs = known()
    reader = read(trust.section, (replace(record, metric="f1"), runs))
    assert heads(reader)[1] == "tuned over defaults"
    assert cells(reader)[0][1].startswith("+0.17 ")


def test_cost_against_the_cap() -> None:
    reader = read(cost.section, known())
    adam, sgd = cells(reader)
    assert adam[1:] == ["6 4 unused", "111 89 unused", "12.0 s", "0.10 s", "2.0 kB", "10%", "1 diverged"]
    assert sgd[1:] == ["2 8 unused", "40 160 unused", "4.0 s", "0.10 s", "–", "0%", "–"]
    assert "Tuning budget: 10 runs and 200 gradient evaluations each. 1 of 14 runs diverged." in reader.visible


def test_a_cap_spent_or_passed_is_said() -> None:
    record, runs = known()
    tight = replace(record, caps={"runs": 6, "steps": 100, "seconds": 11.5})
    assert cells(read(cost.section, (tight, runs)))[0][1:4] == ["6 all used", "111 11 over", "12.0 s 0.5 s over"]
    assert "Tuning had no budget." in " ".join(read(cost.section, (replace(record, caps={}), runs)).visible)


def test_times_of_runs_trained_together_are_no_optimizers_own() -> None:
    """A share of a common program reads as an optimizer's speed, so it is left out; a budget of time counts it."""
    record, runs = known()
    shared = [replace(run, execution="population of 32, compiled") for run in runs]
    reader = read(cost.section, (record, shared))
    assert heads(reader) == ["optimizer", "tuning runs", "evaluations", "memory", "diverged", "what went wrong"]
    assert "ime per step" not in " ".join(reader.visible)
    timed = read(cost.section, (replace(record, caps={"runs": 6, "seconds": 11.5}), shared))
    assert heads(timed)[3] == "share of the tuning time"
    assert cells(timed)[0][3] == "12.0 s 0.5 s over"
    assert "equal share" in " ".join(timed.visible)
    for alone in ("loop: a reason", "population of 1", ""):
        own = read(cost.section, (record, [replace(run, execution=alone) for run in runs]))
        assert heads(own)[3:5] == ["tuning time", "time per step"]


def test_one_shared_run_is_enough() -> None:
    record, runs = known()
    reader = read(cost.section, (record, [replace(runs[0], execution="population of 10"), *runs[1:]]))
    assert "time per step" not in heads(reader)


def test_how_runs_ended_is_counted() -> None:
    record, runs = known()
    whole = [run for run in runs if not run.diverged]
    assert f"No run of {len(whole)} diverged." in " ".join(read(cost.section, (record, whole)).visible)
    failed = [replace(whole[0], failure="out of memory"), *whole[1:]]
    assert f"0 of {len(whole)} runs diverged, and 1 failed." in " ".join(read(cost.section, (record, failed)).visible)


def test_reasons_are_told_and_cut() -> None:
    runs = [*rates({0.1: (0.9, 0.9)}), run(1.0, 0, 0.4, failure=f"{EVIL}\n{'x' * 500}"), run(1.0, 1, None)]
    reader = read(cost.section, (study(), runs))
    assert cells(reader)[0][7].startswith(f"1 failed: {EVIL} xxx")
    assert cells(reader)[0][7].endswith("x…; 1 diverged")
    assert len(cells(reader)[0][7]) < 200


@pytest.mark.parametrize("section", [stars.section, trust.section, cost.section])
@pytest.mark.parametrize("make", MADE.values(), ids=MADE.keys())
def test_every_contender_has_a_whole_line(section: Any, make: Any) -> None:
    record, runs = make()
    reader = read(section, (record, runs))
    assert {len(line) for line in reader.rows} == {len(reader.rows[0])}
    assert [line[0].split()[0] for line in cells(reader)] == [r.contender for r in leaderboard(record, runs)]
    text = " ".join(reader.visible)
    assert "None" not in text
    assert "nan" not in text.split()


@pytest.mark.parametrize("section", [stars.section, trust.section, cost.section])
def test_names_cannot_break_out(section: Any) -> None:
    record = study((EVIL,), learning_rates={EVIL: (0.1,)}, metric="'\"><img>{first}", target=0.5)
    runs = [*rates({0.1: (0.9, 0.9)}, contender=EVIL), *finals((0.9, 0.9), 0.1, contender=EVIL)]
    reader = read(section, (record, runs))
    assert not {"script", "img"} & {tag for tag, _ in reader.elements}
    assert any(EVIL in text for text in reader.visible)


def test_the_answer_emphasizes_the_recommended() -> None:
    record, runs = sensitive_first()
    header = sections.header(record, leaderboard(record, runs), "Use sgd at learning rate 0.01: fine. adam ties.")
    assert "Use <em>sgd</em> at" in header


def test_notes_stand_below_the_answer() -> None:
    record, runs = known()
    notes = (EVIL, *(f"Note {i}." for i in range(6)))
    reader = Reader(sections.header(replace(record, notes=notes), leaderboard(record, runs), "Use adam: fine."))
    assert all(note in reader.visible for note in notes)
    assert "3 more notes" in reader.visible
    assert not Reader(sections.header(replace(record, notes=()), [], "Nothing.")).values("aria-label")


def test_how_sizes_read() -> None:
    accuracy, error = study(), study(metric="error")
    assert [signed(accuracy, x) for x in (0.012, -0.012, 0.0001, -0.0001, None)] == ["+1.2", "−1.2", "0.0", "0.0", "–"]
    assert [signed(error, x) for x in (0.01234, -1e-5, 0.0, float("inf"))] == ["+0.0123", "−1e-05", "0", "–"]
    assert [pace(x) for x in (None, 1.84e-5, 0.00123, 0.5)] == ["–", "18.4 µs", "1.2 ms", "0.50 s"]
    assert [memory(x) for x in (0, 12, 2048, 1_628_320, 3_000_000_000)] == ["–", "12 B", "2.0 kB", "1.6 MB", "3.0 GB"]


def test_checks_that_passed_are_named() -> None:
    """With every seed and rate in order there is no doubt, and the page says what was looked for."""
    record, runs = known()
    steady = study(tuning_seeds=(0, 1, 2), confirmation_seeds=tuple(range(1000, 1005)))
    tried = {0.01: (0.80, 0.81, 0.80), 0.1: (0.90, 0.91, 0.90), 1.0: (0.70, 0.71, 0.70)}
    flat = [replace(run, curve=tuple(replace(m, validation_metric=run.validation_metric) for m in run.curve))
            for run in [*rates(tried), *finals((0.90, 0.90, 0.91, 0.90, 0.90), 0.1)]]  # fmt: skip
    assert doubts(steady, leaderboard(steady, flat)) == []
    text = " ".join(read(trust.section, (steady, flat)).visible)
    assert "All automatic checks passed: the final runs of the recommended finished," in text
    assert "All automatic checks passed" not in " ".join(read(trust.section, (record, runs)).visible)
