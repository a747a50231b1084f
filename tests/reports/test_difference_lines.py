"""How a difference reads: on a terminal, as plain lines, in a sentence, as data."""

import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from handmade import finals, rates, study
from rich.console import Console

from thalweg.analysis.difference import Difference, Told, difference
from thalweg.reports.difference import closing, facts, lines, table, told

METRICS = (0.90, 0.92, 0.88, 0.91, 0.89)
SEEDS = tuple(range(1000, 1005))


def made(rate: float = 0.1, extra: dict[str, Any] | None = None, **by_name: Any) -> Told:
    """Contenders with these final metrics, five fresh seeds, tuned at one rate; an accuracy of many samples."""
    samples = {"train": 80, "validation": 20, "test": 10**6}
    record = study(tuple(by_name), confirmation_seeds=SEEDS, samples=samples)
    given = {"hyperparameters": {"lr": rate, **(extra or {})}}
    runs = []
    for name, metrics in by_name.items():
        runs += [
            *rates({rate: (0.5, 0.5)}, contender=name, **given),
            *finals(metrics, rate, contender=name, **given),
        ]
    return record, runs


def worse(by: float) -> tuple[float, ...]:
    return tuple(m - by + e for m, e in zip(METRICS, (0.001, -0.001, 0.0, 0.001, -0.001), strict=True))


def changed() -> Difference:
    return difference(made(adam=METRICS, sgd=METRICS, old=METRICS), made(adam=worse(0.05), sgd=METRICS, new=METRICS))


def test_one_line_a_contender() -> None:
    heads, adam, sgd = lines(changed())
    assert "test accuracy before" in heads
    assert adam.split("  ")[0] == "adam"
    assert " ".join(adam.split()) == "adam 0.1 90.0 ± 2.0% 85.0 ± 2.0% −5.0 ± 0.1 5 paired worse"
    assert " ".join(sgd.split()) == "sgd 0.1 90.0 ± 2.0% 90.0 ± 2.0% unchanged 5 paired -"


def test_the_terminal_shows_the_same_cells_and_long_names_whole() -> None:
    name = f"[bold]adam({'x' * 100})"
    console = Console(file=StringIO(), width=250)
    console.print(table(difference(made(**{name: METRICS}), made(**{name: worse(0.05)}))))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert name in drawn
    assert "−5.0 ± 0.1" in drawn
    assert "worse" in drawn


def test_what_stands_out() -> None:
    """Only what is significant has a colour."""
    console = Console(file=StringIO(), width=250, force_terminal=True, color_system="standard")
    console.print(table(changed()))
    adam, sgd = (line for line in console.file.getvalue().split("\n") if "paired" in line)  # type: ignore[attr-defined]
    assert "31m" in adam
    assert "31m" not in sgd


def test_what_was_asked_and_chosen_differently() -> None:
    before, after = made(rate=0.1, old=METRICS, adam=METRICS), made(rate=0.2, extra={"beta1": 0.8}, adam=METRICS)
    record = replace(
        after[0], batch_size=64, confirmation_seeds=(), tuning_seeds=(0, 1, 2), environment={"torch": "2.9.0"}
    )
    assert told(difference(before, (replace(record, confirmation_seeds=SEEDS), after[1]))) == [
        "contenders: old removed",
        "batch size: 8 → 64",
        "tuning seeds: 0, 1 → 0–2",
        "environment torch: none → 2.9.0",
        "adam: beta1 none → 0.8",
    ]
    assert lines(difference(before, after))[1].split()[:4] == ["adam", "0.1", "→", "0.2"]
    assert told(changed()) == ["contenders: old removed, new added"]


def test_a_name_that_stands_for_another_optimizer_is_said() -> None:
    record, runs = made(mine=METRICS)
    turned = [replace(run, factors={"optimizer": "sgd"}) for run in runs]
    assert told(difference((record, runs), (record, turned))) == ["mine: optimizer adam → sgd"]


def test_every_factor_that_differs_is_said_and_none_that_one_study_does_not_state() -> None:
    """The study states a contender's factors, also where it has no run yet."""
    record, runs = made(mine=METRICS)
    stated = replace(record, factors={"mine": {"optimizer": "adam", "convention": "keras"}})
    told_of = told(difference((record, runs), (stated, runs)))
    assert told_of == ["mine: convention none → keras"]
    assert told(difference((stated, []), (record, []))) == []
    assert facts(difference((stated, []), (record, [])))["changes"][0]["before"]["factors"] == stated.factors["mine"]


def test_nothing_changed() -> None:
    both = made(adam=METRICS)
    assert closing(difference(both, both)) == "Nothing changed significantly (p 1)."
    assert told(difference(both, both)) == []


NOISE = ((0.02, -0.03, 0.01, 0.0, 0.0), (-0.01, 0.02, -0.03, 0.02, 0.0), (0.0, 0.0, 0.02, -0.02, -0.01))


def together(by: float, **more: Any) -> Difference:
    """Three contenders whose own changes drown in noise that cancels in their mean."""
    names, before = ("a", "b", "c"), made(a=METRICS, b=METRICS, c=METRICS)
    moved = {
        name: tuple(m + by + e for m, e in zip(METRICS, noise, strict=True))
        for name, noise in zip(names, NOISE, strict=True)
    }
    after = made(**moved)
    return difference(*((replace(record, **more), runs) for record, runs in (before, after)))


def test_none_by_itself_but_all_together() -> None:
    """By hand: the per-seed means of the noise are 1, −1, 0, 0 and −1 thirds of a point: 1.43 ± 2.78·0.28/√5."""
    found = together(0.015)
    assert not found.significant
    smallest = min(change.adjusted for change in found.changes if change.adjusted is not None)
    assert closing(found) == (
        f"No single optimizer changed significantly (3 compared, smallest adjusted p {smallest:.2g}), but together "
        "they moved up by 1.4 points (95% interval 1.1–1.8; 3 of 3 up)."
    )
    assert closing(together(-0.015)).endswith(
        "but together they moved down by 1.6 points (95% interval 1.2–1.9; 3 of 3 down)."
    )


def test_of_an_error_down_is_better() -> None:
    error = {"metric": "mse", "higher_is_better": False}
    assert "moved down by 0.0157, which is better (95% interval 0.0122–0.0191; 3 of 3 down)." in closing(
        together(-0.015, **error)
    )
    assert "moved up by 0.0143, which is worse (" in closing(together(0.015, **error))


def test_neither_by_itself_nor_together() -> None:
    said = closing(together(0.001))
    assert said.endswith(", nor did they together: 0.0 points (95% interval −0.3 to +0.4; 2 of 3 up).")
    both = made(a=METRICS, b=METRICS)
    assert closing(difference(both, both)) == (
        "No single optimizer changed significantly (2 compared, smallest adjusted p 1); together they did not move "
        "either."
    )


def test_who_lost_runs_is_left_out_of_the_whole() -> None:
    before = made(a=METRICS, b=METRICS, c=METRICS)
    after = made(a=METRICS, b=METRICS, c=(*METRICS[:4], None))
    assert "together the 2 that finished every run did not move either" in closing(difference(before, after))
    one = made(a=METRICS[:1], b=METRICS[:1])
    assert "together" not in closing(difference(one, one)), "one seed tells nothing"


def test_a_column_without_any_value_leaves() -> None:
    both = made(adam=METRICS, sgd=METRICS)
    assert "significantly" not in lines(difference(both, both))[0]
    assert "significantly" in lines(changed())[0]
    console = Console(file=StringIO(), width=80)
    console.print(table(difference(both, both)))
    assert "significantly" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_fits_80_columns() -> None:
    name = "schedule_free_adamw"
    found = difference(made(rate=0.00316, **{name: METRICS}), made(rate=0.0501, **{name: worse(0.05)}))
    console = Console(file=StringIO(), width=80)
    console.print(table(found))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{name}  " in drawn
    assert max(map(len, drawn.split("\n"))) <= 80


def test_the_answer_names_who_changed() -> None:
    assert closing(changed()) == "adam is significantly worse: 90.0 ± 2.0% before, 85.0 ± 2.0% after."
    before = made(a=METRICS, b=METRICS, c=worse(0.05), d=METRICS)
    after = made(a=worse(0.05), b=worse(0.04), c=METRICS, d=METRICS)
    assert closing(difference(before, after)).startswith("a and b are significantly worse. c is significantly better:")


def test_the_answer_where_nothing_finishes_any_more() -> None:
    before, after = made(adam=METRICS), made(adam=(None,) * 5)
    assert closing(difference(before, after)) == "adam is significantly worse: it no longer finishes."
    assert closing(difference(after, before)) == "adam is significantly better: it did not finish before."
    assert lines(difference(before, after))[1].split()[-5:] == ["failed", "5", "and", "0", "worse"]


def test_who_could_not_be_judged_is_said() -> None:
    one = made(adam=METRICS[:1])
    found = difference(one, one)
    assert closing(found) == (
        "Nothing changed significantly. adam could not be judged: that takes two seeds with a score in each study."
    )
    assert lines(found)[1].endswith("not judged")
    lost = difference(made(adam=METRICS), made(adam=(*METRICS[:4], None)))
    assert "(1 lost)" in lines(lost)[1]


def test_the_data_is_json() -> None:
    data = facts(changed())
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert (data["significant"], data["added"], data["removed"]) == (True, ["new"], ["old"])
    assert data["verdict"] == closing(changed())
    assert data["pooled"]["optimizers"] == ["adam", "sgd"]
    assert (data["pooled"]["paired"], data["pooled"]["seeds"], data["pooled"]["down"]) == (True, 5, 1)
    assert data["pooled"]["difference"]["mean"] == pytest.approx(-0.025)
    adam = data["changes"][0]
    assert adam["adjusted_p"] == pytest.approx(2 * adam["p"])
    assert (adam["optimizer"], adam["direction"], adam["significant"], adam["paired"]) == ("adam", "worse", True, True)
    assert adam["difference"]["mean"] == pytest.approx(-0.05)
    assert adam["before"]["scores"]["1001"] == 0.92
    assert adam["after"]["hyperparameters"] == {"lr": 0.1}


def test_the_data_of_what_does_not_exist_is_null() -> None:
    (change,) = facts(difference(made(adam=METRICS[:1]), made(adam=(None,))))["changes"]
    assert (change["p"], change["difference"], change["after"]["score"]) == (None, None, None)
    assert change["before"]["score"] == {"mean": 0.9, "low": None, "high": None}
