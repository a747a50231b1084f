"""The help, shell completion, and the first and last that a command says."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from thalweg.cli import completion
from thalweg.cli.main import COMMANDS, EXAMPLES, app
from thalweg.cli.opening import say_report
from thalweg.errors import InputError
from thalweg.options.comparison import COMPARISON, TEXTBOOK
from thalweg.options.declared import PANELS, STUDY
from thalweg.recipes.catalogue import recipes
from thalweg.studies import protocol

GROUP = typer.main.get_command(app)
NAMES = [name for commands in COMMANDS.values() for name in commands]


def helped(*command: str) -> str:
    done = CliRunner().invoke(app, [*command, "--help"], terminal_width=100)
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("watch", "optimizers")])
def test_every_option_has_help_and_shows_no_type_of_python(name: str) -> None:
    for option in GROUP.commands[name].params:  # type: ignore[attr-defined]
        assert option.help.endswith("."), option.name
        assert option.metavar is not None or option.name == "help", option.name
    options = helped(name).partition("Options")[2].partition("Arguments")[0]
    assert not re.search("<(str|int|float|path)>", options, re.IGNORECASE)


def test_options_are_grouped_in_order() -> None:
    text = helped("compare")
    assert [text.index(f" {panel} ─") for panel in PANELS] == sorted(text.index(f" {panel} ─") for panel in PANELS)
    assert {of.panel for of in COMPARISON.values()} == set(PANELS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_commands_that_exist_with_options_that_exist(name: str) -> None:
    text = " ".join(helped(name).split())
    for line in EXAMPLES[name]:
        assert line in text
        used = re.findall(r"(?<=\s)--[a-z-]+", line.partition("|")[0])
        taken = [flag for option in GROUP.commands[name].params for flag in option.opts]  # type: ignore[attr-defined]
        assert line.split()[:2] == ["thalweg", name]
        assert set(used) <= set(taken)


def test_the_default_optimizers_in_the_help_are_those_of_the_protocol() -> None:
    assert tuple(TEXTBOOK.split(", ")) == protocol.TEXTBOOK


def test_completion_knows_every_optimizer_and_schedule() -> None:
    assert completion.optimizer_names() == sorted(recipes())
    listed = CliRunner().invoke(app, ["schedules"]).output.splitlines()
    assert completion.schedule_names() == [line.split("\t")[0] for line in listed]


@pytest.mark.parametrize(
    ("incomplete", "completed"),
    [
        ("adamw", ["adamw"]), ("sgd,adamw", ["sgd,adamw"]), ("adam(eps=1e-4),adamw", ["adam(eps=1e-4),adamw"]),
        ("adam(lr=1e-3,be", []), ("adam(", []), ("sgd,zzz", []),
    ],
)  # fmt: skip
def test_the_last_of_several_names_is_completed(incomplete: str, completed: list[str]) -> None:
    complete = completion.completion("optimizers", COMPARISON["optimizers"].kind)
    assert complete is not None
    assert complete(incomplete) == completed


def test_a_shell_completes_without_torch(tmp_path: Path) -> None:
    """As bash asks for it; what was loaded is written to a file at the end."""
    code = (
        "import atexit, sys; from thalweg.cli.main import app; "
        "atexit.register(lambda: open('loaded', 'w').write(str('torch' in sys.modules))); app(prog_name='thalweg')"
    )
    asked = {"COMP_WORDS": "thalweg compare dig", "COMP_CWORD": "2", "_THALWEG_COMPLETE": "complete_bash"}
    environment = {**os.environ, **asked}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["digits"], done.stderr
    assert (tmp_path / "loaded").read_text() == "False"


def in_terminal(code: str, cwd: Path) -> str:
    """What a program in a pseudo-terminal writes."""
    fd, end = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], stdin=end, stdout=end, stderr=end, cwd=cwd)
    os.close(end)
    read = b""
    try:
        while part := os.read(fd, 4096):
            read += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(fd)
    process.wait()
    return read.decode()


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["compare", "digits"], "digits: 11 optimizers; loading torch …"),
        (["compare", "digits", "--optimizers", "sgd,adam", "--schedules", "constant,1cycle"],
         "digits: 2 optimizers with 2 schedules each; loading torch …"),
        (["compare", "digits", "--quiet"], ""),
        (["find-lr", "digits", "--optimizers", "all"], "digits: all optimizers; loading torch …"),
        (["resume", "3"], "study 3 in thalweg-out; loading torch …"),
        (["check", "digits"], "digits; loading torch …"),
    ],
)  # fmt: skip
def test_a_terminal_is_told_at_once_before_torch_is_imported(arguments: list[str], first: str, tmp_path: Path) -> None:
    """The import of torch ends the program here."""
    code = (
        f"import sys; sys.modules['torch'] = None; sys.argv = ['thalweg', *{arguments!r}]\n"
        "from thalweg.cli.main import run\n"
        "try: run()\n"
        "except ImportError: pass"
    )
    assert in_terminal(code, tmp_path).replace("\r\n", "\n").strip() == first


def test_a_report_is_a_link_on_a_terminal_and_a_path_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "from pathlib import Path; from thalweg.cli.opening import say_report; say_report(Path('a b/report.html'))"
    shown = in_terminal(f"import os; os.environ['TERM'] = 'xterm'\n{code}", tmp_path)
    assert f"{(tmp_path / 'a b' / 'report.html').as_uri()}\x1b\\a b/report.html\x1b]8;;\x1b\\" in shown
    say_report(Path("a b/report.html"))
    assert capsys.readouterr().out == "Report: a b/report.html\n"


def test_a_study_that_is_no_number_is_refused_in_one_sentence() -> None:
    for command in ("show", "report", "delete", "resume", "export"):
        error = CliRunner().invoke(app, [command, "x"]).exception
        assert isinstance(error, InputError)
        assert str(error) == f"{STUDY.name} must be a whole number from 1, got 'x'."


@pytest.mark.parametrize("command", ["studies", "show", "report", "export", "delete 1"])
def test_no_study_yet(command: str, tmp_path: Path) -> None:
    error = CliRunner().invoke(app, [*command.split(), "--out", str(tmp_path / "none")]).exception
    assert (
        str(error) == f"No study in {tmp_path / 'none'} yet: begin one with thalweg compare, or give another directory."
    )
