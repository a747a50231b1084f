"""Text in a store that somebody else wrote reaches no terminal as a command."""

from dataclasses import replace
from pathlib import Path

import pytest

import thalweg
from records_fixture import RUN, STUDY
from thalweg.records.store import Store
from thalweg.studies.protocol import PROTOCOL

ODD = ["\x1b[31m", "a\nb", "\x9b2J", "\u202egnp.exe", "\x07"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("field", ["workload", "metric", "contenders"])
def test_names_with_control_characters_are_refused(odd: str, field: str, tmp_path: Path) -> None:
    value = (f"adam{odd}",) if field == "contenders" else f"toy{odd}"
    store, number = Store.begin(tmp_path, replace(STUDY, **{field: value}))
    with pytest.raises(thalweg.InputError, match="with control characters that Thalweg does not write") as told:
        store.study(number)
    store.close()
    assert odd not in str(told.value)


@pytest.mark.parametrize("odd", ODD)
def test_notes_and_failures_are_shown_escaped(odd: str, tmp_path: Path) -> None:
    store, number = Store.begin(tmp_path, replace(STUDY, notes=(f"a note{odd}",)))
    store.add(number, {0: replace(RUN, failure=f"it broke{odd}")})
    assert odd not in store.study(number).notes[0]
    assert store.study(number).notes[0].startswith("a note")
    assert odd not in store.runs(number)[0].failure
    store.close()


@pytest.mark.parametrize("protocol", [1, PROTOCOL, 99])
def test_a_study_of_another_protocol_says_by_which_rules_it_is_judged(protocol: int, tmp_path: Path) -> None:
    store, number = Store.begin(tmp_path, replace(STUDY, protocol=protocol))
    store.finish(number, replace(STUDY, protocol=protocol), "Use it.")
    store.close()
    said = f"Study 1 followed protocol {protocol}; it is judged here by the rules of {PROTOCOL}."
    assert (said in thalweg.stored(tmp_path).study.notes) is (protocol != PROTOCOL)
