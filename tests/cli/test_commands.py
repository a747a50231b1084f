"""The commands as a user runs them, in a process of their own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import thalweg
from cli_process import Ended, Program
from scope import conformance_only
from thalweg.cli.main import app


def call(*arguments: str, cwd: Path) -> Ended:
    return Program(*arguments, cwd=cwd).end()


def test_compare_digits(tmp_path: Path) -> None:
    done = call(
        "compare", "digits", "--optimizers", "sgd,adam(eps=1e-6, beta1=0.8)", "--learning-rates", "1e-3,1e-2",
        "--seeds", "1", "--confirm-seeds", "2", "--epochs", "2", "--out", "results", "--json", "facts.json",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.status == 0, done.errors
    lines = done.output.splitlines()
    assert lines[0].startswith("Use ")
    assert lines[1].startswith("    thalweg.optim.")
    at = next(i for i, line in enumerate(lines) if line.startswith("rank"))
    assert lines[at].split()[:2] == ["rank", "optimizer"]
    assert lines[at + 1].startswith("1")
    assert any("adam(eps=1e-6, beta1=0.8)" in line for line in lines[at + 1 : at + 3])
    assert "Report: results/report.html" in done.output
    assert (tmp_path / "results" / "report.html").exists()
    assert "tuning, coarse: 4 runs of 68 steps" in done.errors
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["verdict"].startswith(lines[0])
    assert facts["verdict"].removeprefix(lines[0]).strip() in done.output
    assert facts["code"] == lines[1].strip()
    assert [row["rank"] for row in facts["leaderboard"]] == [1, 2]


OWN = """
import torch
class Plain(torch.optim.SGD):
    def __init__(self, params, lr): super().__init__(params, lr=lr)
class Broken(torch.optim.SGD):
    def step(self, closure=None): raise RuntimeError("no luck")
"""


def test_optimizers_of_ones_own_directory(tmp_path: Path) -> None:
    """One has no default rate to run beside; one raises, and the others go on."""
    (tmp_path / "own.py").write_text(OWN)
    done = call(
        "compare", "digits", "--optimizers", "sgd,mine=own:Plain,own:Broken", "--learning-rates", "0.1",
        "--steps", "12", "--seeds", "1", "--confirm-seeds", "2", "--json", "facts.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.status == 1, done.errors
    assert "own:Broken: 3 of 3 runs failed: RuntimeError: no luck" in done.output
    assert "Traceback" not in done.errors
    sgd, mine, broken = json.loads((tmp_path / "facts.json").read_text())["leaderboard"]
    assert {sgd["optimizer"], mine["optimizer"], broken["optimizer"]} == {"sgd", "mine", "own:Broken"}
    assert sgd["validation"]["mean"] == pytest.approx(mine["validation"]["mean"], abs=1e-9)
    assert broken["validation"] is None


@conformance_only
def test_a_budget(tmp_path: Path) -> None:
    """The shortest that does: on a machine that does other things, too, twice what it says is needed."""
    seconds = 6.0
    for _ in range(6):
        budget = ("--optimizers", "sgd,adam", "--seeds", "30", "--budget", f"{seconds:.0f}s")
        done = call("compare", "digits", *budget, "--json", "facts.json", cwd=tmp_path)
        if not (more := re.search(r"give at least ([\d.]+) (s|min) more", " ".join(done.errors.split()))):
            break
        seconds = 2 * (seconds + float(more[1]) * {"s": 1, "min": 60}[more[2]])
    assert done.status == 0, done.errors
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["caps"]["seconds"] > 0
    assert facts["seeds"]["confirmation"]
    assert facts["notes"], "the whole study would have taken longer"
    assert all(note in done.output for note in facts["notes"])


def test_optimizers(tmp_path: Path) -> None:
    done = call("optimizers", cwd=tmp_path)
    assert done.status == 0
    rows = {line.split("\t")[0]: line for line in done.output.splitlines()}
    assert {"sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw"} <= set(rows)
    assert "momentum=0.9" in rows["nesterov"]
    assert "arXiv:1711.05101" in rows["adamw"]


def test_optimizers_for_scripts_and_without_torch(tmp_path: Path) -> None:
    listed = json.loads(call("optimizers", "--format", "json", cwd=tmp_path).output)
    assert [one["name"] for one in listed[:3]] == ["sgd", "momentum", "nesterov"]
    one = json.loads(call("optimizers", "adamw", "--format", "json", cwd=tmp_path).output)
    assert one["recurrence"].startswith("p ← p - lr·λ·p")
    code = "import sys; from thalweg.cli.main import app; app(standalone_mode=False); assert 'torch' not in sys.modules"
    for arguments in (["optimizers"], ["optimizers", "muon"], ["optimizers", "--page"], ["optimizers", "--all"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr


def test_quiet_prints_the_verdict_and_the_report_alone(tmp_path: Path) -> None:
    few = (
        "--optimizers",
        "sgd,adam",
        "--learning-rates",
        "0.1",
        "--seeds",
        "1",
        "--confirm-seeds",
        "2",
        "--epochs",
        "1",
    )
    done = call("compare", "digits", *few, "--quiet", "--json", "facts.json", cwd=tmp_path)
    assert (done.status, done.errors) == (0, "")
    verdict = json.loads((tmp_path / "facts.json").read_text())["verdict"]
    assert done.output == f"{verdict}\nReport: thalweg-out/report.html\n"
    again = call("resume", "--quiet", cwd=tmp_path)
    assert (again.errors, again.output) == ("", done.output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "digit"], "Did you mean digits"),
        (["compare", "digits", "--optimizers", "sgd,adm"], "Did you mean"),
        (["optimizers", "adm"], "Did you mean adam"),
        (["optimizers", "--format", "xml"], "format must be one of text, json, got 'xml'"),
        (["optimizers", "adam", "--page"], "--page writes all cards as Markdown"),
        (["compare", "digits", "--optimizers", "sgd,,adam"], "--optimizers must be names"),
        (["compare", "digits", "--learning-rates", "1,x"], "--learning-rates must be numbers"),
        (["compare", "digits", "--learning-rates=-1"], "positive finite number"),
        (["compare", "digits", "--budget", "soon"], 'budget must be a time such as "90s"'),
        (["compare", "digits", "--budget", "0.5"], "The budget is too short for these optimizers"),
        (["compare", "digits", "--budget", "-1"], "or a positive finite number of seconds, got -1.0"),
        (["compare", "digits", "--memory", "4"], "or in Python a positive finite number of bytes, got '4'"),
        (["compare", "digits", "--seeds", "x"], "seeds must be a whole number from 1 to 1,000, got 'x'"),
        (["compare", "digits", "--seeds", "1.5"], "seeds must be a whole number from 1 to 1,000, got 1.5"),
        (["compare", "digits", "--quiet", "--verbose"], "--verbose and --quiet exclude each other"),
        (["compare", "digits", "--out", "/proc/x"], "out cannot be created: '/proc/x'"),
        (["compare", "digits", "--budget", "1s"], "The budget is too short for these optimizers"),
        (["compare", "digits", "--steps", "9", "--epochs", "2"], "epochs and steps both say how long a run trains"),
        (["compare", "digits", "--steps", "0"], "steps must be a whole number from 1 to 1,000,000,000, got 0"),
        (["compare", "digits", "--clip-norm", "0"], "clip_norm must be a positive finite number, got 0.0"),
        (["compare", "digits", "--tune", "lr,,"], "--tune must be names with commas between them"),
        (["compare", "digits", "--tune", "lr,beta7"], "No optimizer compared has the hyperparameter 'beta7'. Did you"),
        (["compare", "digits", "--tune", "final_lr", "--optimizers", "adabound"], "has no range worth searching"),
        (["compare", "digits", "--tune", "lr", "--learning-rates", "0.1"], "give one of the two"),
        (["compare", "digits", "--optimizers", "torch.optim:Adm"], "must name an optimizer class as package.module"),
        (["compare", "digits", "--seeds", "0"], "seeds must be a whole number from 1 to 1,000, got 0"),
        (["compare", "digits", "--device", "cuda:9"], "cannot be used"),
        (["compare", "digits", "--json", "no/such/place.json"], "json must be the path of a file that can be written"),
        (["compare", "mnist"], "THALWEG_DATA"),
        (["compare", "mnist", "--data-dir", "nowhere"], "train-images-idx3-ubyte"),
        (["compare", "digits", "--sedes", "3"], "No such option"),
        (["compair", "digits"], "No such command"),
    ],
)
def test_a_users_mistake_ends_in_a_sentence_and_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = call(*arguments, cwd=tmp_path)
    assert done.status == 2
    assert message in " ".join(done.errors.replace("│", " ").split())
    assert "Traceback" not in done.errors
    assert not list(tmp_path.iterdir())


def test_version_and_help(tmp_path: Path) -> None:
    assert call("--version", cwd=tmp_path).output.strip() == f"thalweg {thalweg.__version__}"
    assert "compare" in call("--help", cwd=tmp_path).output


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """`python -m thalweg`, its messages and its exit status."""
    command = [sys.executable, "-m", "thalweg"]
    done = subprocess.run([*command, "compare", "nothing"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == call("compare", "nothing", cwd=tmp_path).errors
    assert done.stderr.startswith("thalweg: Unknown workload 'nothing'")
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    assert "Usage: python -m thalweg [OPTIONS] COMMAND" in helped


def test_help_and_import_stay_light(tmp_path: Path) -> None:
    heavy = {"torch", "numpy", "numba", "plotly", "pandas", "scipy", "sklearn"}
    code = f"import sys, thalweg, thalweg.cli.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"


def test_fashion_mnist_on_the_real_data(tmp_path: Path, data_dir: Path) -> None:
    done = call(
        "compare", "fashion-mnist", "--data-dir", str(data_dir), "--optimizers", "sgd,adam", "--learning-rates", "1e-3",
        "--seeds", "1", "--confirm-seeds", "0", "--epochs", "1", cwd=tmp_path,
    )  # fmt: skip
    assert done.status == 0, done.errors
    assert "fashion-mnist" in (tmp_path / "thalweg-out" / "report.html").read_text()


SHORT = ("--optimizers", "sgd", "--learning-rates", "0.1", "--steps", "1", "--seeds", "1", "--confirm-seeds", "2")


@conformance_only
def test_an_output_that_cannot_show_every_character(tmp_path: Path) -> None:
    """Neither the terminal's encoding nor a path that is no text may lose the answer at the end."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    asked = [*SHORT[:-1], "3", "--out", "\udcff"]  # of two seeds both values are shown, without a margin
    command = [Path(sys.executable).with_name("thalweg"), "compare", "digits", *asked]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "\\xb1" in done.stdout
    assert "Report: \\udcff" in done.stdout


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os; os.rmdir(os.getcwd()); from thalweg.cli.main import run; run()"
    command = [sys.executable, "-c", code, "compare", "digits", "--optimizers", "torch.optim:SGD"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=gone, timeout=280, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("thalweg: out must be the path of a directory")


def test_options_of_lists_may_be_given_several_times() -> None:
    group: Any = typer.main.get_command(app)
    given = ["digits", "--vary", "width=1,2", "--vary", "init=he-normal", "--optimizers", "sgd", "--optimizers", "adam"]
    context = group.commands["compare"].make_context("compare", given)
    assert context.params["vary"] == ["width=1", "2", "init=he-normal"]
    assert context.params["optimizers"] == ["sgd", "adam"]
    assert context.params["schedules"] is None
    with pytest.raises(thalweg.InputError, match="--optimizers must be names with commas between them, got ''"):
        group.commands["compare"].make_context("compare", ["digits", "--optimizers", ""])
    context = group.commands["sparsify"].make_context("sparsify", ["digits", "--sparsity", "0.5", "--sparsity", "0.8"])
    assert (context.params["sparsity"], context.params["method"]) == ([0.5, 0.8], ["threshold", "prune", "random"])
