"""Whatever is given to `compare` or to the command line: it succeeds, or ends in one sentence; it never hangs.

The examples are the same every time, but in a thorough run. What they found stands by name beside.
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import thalweg
from broken_workloads import QUICK, workload
from fuzzing import no_hang, options, require_one_sentence, workloads
from scope import THOROUGH
from thalweg.cli import watch
from thalweg.cli.main import run
from thalweg.records.store import Store

pytestmark = pytest.mark.asks_more("five times as many examples, and fresh ones")


def held(examples: int) -> Any:
    """So many examples, drawn alike in every run; in a thorough one fresh ones, and five times as many.

    How long one takes is no measure here.
    """
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=5 * examples if THOROUGH else examples,
        derandomize=not THOROUGH,
        print_blob=THOROUGH,
        database=None,
        deadline=None,
        suppress_health_check=quiet,
    )


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends a comparison where it would begin to look at the model: what was asked for has been accepted."""

    def accepted(*_: Any, **__: Any) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("thalweg.api.comparison.prepare", accepted)


@held(100)
@given(options())
@pytest.mark.usefixtures("untrained")
def test_options_of_compare(given_options: dict[str, Any]) -> None:
    with no_hang(), suppress(SystemExit):
        try:
            thalweg.compare(workload(), **given_options)
        except thalweg.InputError as error:
            require_one_sentence(str(error))


@held(15)
@given(workloads())
def test_workloads(arguments: dict[str, Any]) -> None:
    with no_hang():
        try:
            result = thalweg.compare(thalweg.Workload(**arguments), **QUICK)
        except thalweg.InputError as error:
            require_one_sentence(str(error))
        else:
            json.dumps(result.facts(), allow_nan=False)
            require_one_sentence(result.verdict)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories of damaged data, and what is no directory; the same names in every run."""
    root = tmp_path_factory.mktemp("places")
    names = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    damaged = {"empty": b"", "short": b"\0\0\x08\x03\0\0", "other": b"PK\3\4" * 9, "gzip": b"\x1f\x8b\x08\0\0\0"}
    for case, content in damaged.items():
        (root / case / "mnist").mkdir(parents=True)
        for name in names:
            (root / case / "mnist" / name).write_bytes(content)
    (root / "file").write_text("no directory")
    (root / "nothing" / "mnist" / names[0]).mkdir(parents=True)
    return root


NUMBERS = ["0", "1", "2", "-1", "1.5", "1e3", "nan", "inf", "x", "", "9" * 400, "1_0", "٣", "0x10"]
LISTS = [
    "0.1",
    "0.1,0.2",
    ",",
    "nan",
    "1,,2",
    "-1",
    "1e999",
    "lr",
    "lr,beta1",
    "sgd",
    "sgd,adam(betas=(0.9,0.99))",
    "(,",
]
PLACES = ["file", "nothing", "empty", "short", "other", "gzip", "new/deep", "file/under", "a" * 300, ".", "ü\udcff"]
FLAGS = {
    **dict.fromkeys(
        ("--seeds", "--confirm-seeds", "--epochs", "--steps", "--trials", "--base-seed", "--clip-norm"), NUMBERS
    ),
    **dict.fromkeys(("--optimizers", "--learning-rates", "--tune"), LISTS),
    **dict.fromkeys(("--out", "--json", "--data-dir"), PLACES),
    "--budget": ["1s", "10min", "1e5s", "9" * 400 + "h", "s", "-1s", "3 h", ""],
    "--memory": ["4GB", "4", "0MB", "gb", "1e9mb"],
    "--device": ["cpu", "meta", "hpu", "", "cuda:9", "gpu"],
    "--progress": ["", "x"],
    "--sedes": ["3"],
}


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    name = draw(st.sampled_from(["compare"] * 12 + ["optimizers", "compair", "", "--version", "-h"]))
    problems = ["digits"] * 4 + ["mnist"] * 3 + ["mnist-cnn", "digit", "", "\udcff"]
    arguments = [name] + ([draw(st.sampled_from(problems))] if name == "compare" else [])
    for flag in draw(st.lists(st.sampled_from(sorted(FLAGS)), max_size=3)):
        arguments += [flag, draw(st.one_of(st.sampled_from(FLAGS[flag]), st.text(max_size=6)))]
    return arguments


def ended(arguments: list[str]) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of the command line, in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2))
    path, sys.argv = sys.path.copy(), ["thalweg", *arguments]
    try:
        with no_hang(), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            run()
    finally:
        sys.path[:] = path
    out.seek(0)
    err.seek(0)
    return int(end.value.code or 0), out.read(), err.read()


def require_ended_well(arguments: list[str], codes: tuple[int, ...] = (0, 2)) -> None:
    code, out, err = ended(arguments)
    assert code in codes, err
    assert "Traceback" not in out + err
    if code == 2:
        last = err.strip().splitlines()[-1]
        assert last.startswith(("thalweg: ", "╰")), err  # ours, or the command line's own in its frame
        if last.startswith("thalweg: "):
            require_one_sentence(last)


@pytest.fixture
def inside(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(places)
    monkeypatch.delenv("THALWEG_DATA", raising=False)


@held(100)
@given(commands())
@pytest.mark.usefixtures("untrained", "inside")
def test_commands(arguments: list[str]) -> None:
    require_ended_well(arguments)


@pytest.mark.parametrize("directory", ["\r", "a\nb", "a\x85b", "\u2028", "\x1b[2J"])
@pytest.mark.usefixtures("untrained", "inside")
def test_a_path_of_control_characters(directory: str) -> None:
    code, _, err = ended(["compare", "mnist", "--data-dir", directory])
    assert code == 2
    require_one_sentence(err.strip())
    assert err.startswith("thalweg: ")
    assert "\x1b" not in err


IDS = ["1", "2", "3", "0", "-1", "9" * 30, "x", "", "1.0", "out:1", "gone:1", "broken:1", ":", "1:", "\udcff:1"]
STORES = ["out", "broken", "gone", "file", "locked", "ü\udcff"]
OF_STORES = {
    **dict.fromkeys(("show", "resume", "watch", "report", "delete", "export"), 1),
    "diff": 2,
    "studies": 0,
}  # command → how many studies it takes
STORE_FLAGS = {
    "--json": PLACES,
    "--to": ["file", "new/deep", "runs.csv", ".", "ü\udcff"],
    "--format": ["csv", "json", "parquet", "xml", "", "CSV"],
    "--every": ["0", "-1", "nan", "inf", "x", "0.1"],
    "--checkpoint-every": ["0s", "1s", "x", "-3min", "nan s"],
    "--no-progress": [],
}


@pytest.fixture(scope="module")
def stores(places: Path) -> Path:
    """Directories with two finished studies and one that cannot go on, with a broken store, and with none."""
    asked: dict[str, Any] = {"seeds": 1, "confirm_seeds": 2, "progress": False, "out": places / "out"}
    for rate in (0.1, 0.2):
        thalweg.compare(workload(), ["sgd"], [rate], steps=2, **asked)
    store, _ = Store.begin(places / "out", replace(thalweg.stored(places / "out").study, request={}))
    store.close()
    (places / "broken").mkdir()
    (places / "broken" / "study.sqlite").write_bytes(b"SQLite format 3\0" + b"\x05" * 300)
    (places / "gone").mkdir()
    (places / "locked" / "study.sqlite").mkdir(parents=True)
    return places


@st.composite
def commands_of_stores(draw: st.DrawFn) -> list[str]:
    name = draw(st.sampled_from(sorted(OF_STORES)))
    ids = draw(st.lists(st.sampled_from(IDS), min_size=0, max_size=OF_STORES[name] + 1))
    arguments = [name, *ids, "--out", draw(st.sampled_from(STORES))]
    for flag in draw(st.lists(st.sampled_from(sorted(STORE_FLAGS)), max_size=2)):
        arguments += [flag, *([draw(st.sampled_from(STORE_FLAGS[flag]))] if STORE_FLAGS[flag] else [])]
    return arguments


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """`watch` waits for a study that is not there yet: Ctrl-C at once."""

    def wait(out: Path, every: float) -> None:
        del every
        if not watch._numbers(out):
            raise KeyboardInterrupt

    monkeypatch.setattr(watch, "_wait", wait)


@held(60)
@given(commands_of_stores())
@pytest.mark.usefixtures("stores", "inside", "impatient")
def test_commands_of_stores(arguments: list[str]) -> None:
    codes = {"diff": (0, 1, 2), "watch": (0, 2, 130)}
    require_ended_well(arguments, codes.get(arguments[0], (0, 2)))


SHORT = ["--no-progress", "--seeds", "1", "--learning-rates", "0.1"]


@held(2)
@given(
    st.sampled_from(["sgd", "adam(betas=(0.9, 0.99))", "x=torch.optim:SGD", "sgd,torch.optim:LBFGS"]),
    st.sampled_from(["1", "3"]),
    st.sampled_from(["0", "1"]),
    st.sampled_from(["new", "file", "ü\udcff"]),
)
@pytest.mark.usefixtures("inside")
def test_commands_that_train(optimizers: str, steps: str, confirm: str, out: str) -> None:
    given_options = ["--optimizers", optimizers, "--steps", steps, "--confirm-seeds", confirm, "--out", out]
    require_ended_well(["compare", "digits", *SHORT, *given_options])
