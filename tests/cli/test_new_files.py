"""`thalweg new`: every kind is written as it is in the package and trains at once; nothing of the user's is lost."""

import ast
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cli_process import Ended, Program, ranking
from scope import THOROUGH
from thalweg.cli import templates
from thalweg.workloads.user_files import load_from

FOLDER = Path(templates.__file__).parent
KINDS = ["classifier", "custom-step", "images", "regression", "sequence"]
FEW = ("--optimizers", "sgd", "--seeds", "1", "--confirm-seeds", "0", "--epochs", "1")


def call(*arguments: str, cwd: Path) -> Ended:
    return Program(*arguments, cwd=cwd).end()


def template(kind: str) -> Path:
    return FOLDER / f"{kind.replace('-', '_')}.py"


def test_every_template_is_a_kind() -> None:
    assert {path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if path.stem != "__init__"} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS if THOROUGH else ["custom-step"])
def test_a_new_file_trains_as_it_is(kind: str, tmp_path: Path) -> None:
    """By the very command that is printed, with less to do."""
    written = call("new", "my problem.py", "--kind", kind, cwd=tmp_path)
    assert written.status == 0, written.errors
    assert "my problem.py" in written.output.splitlines()[0]
    assert (tmp_path / "my problem.py").read_bytes() == template(kind).read_bytes()
    told = shlex.split(written.output.splitlines()[-1].removeprefix("Next: "))
    assert told == ["thalweg", "compare", "my problem.py", "--budget", "1min"]
    done = call(*told[1:3], *FEW, cwd=tmp_path)
    assert done.status == 0, done.errors
    assert ranking(done.output)[0][1] == "sgd"
    assert "Warning" not in done.errors


def test_the_kind_is_classifier_unless_given(tmp_path: Path) -> None:
    assert call("new", "mine.py", cwd=tmp_path).status == 0
    assert (tmp_path / "mine.py").read_bytes() == template("classifier").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_are_those_that_the_comments_say(kind: str) -> None:
    """The loss of a new model is a number, gradients reach every parameter, and data are the same when read again."""
    workload, again = load_from(str(template(kind))), load_from(str(template(kind)))
    assert str(workload.train.digest()) == str(again.train.digest())
    samples = [len(split) for split in (workload.train, workload.validation, workload.test)]
    assert samples[1] == pytest.approx(0.2 * sum(samples), abs=2)
    model = workload.model()
    assert model is not workload.model()
    loss = workload.objective.loss(model, workload.validation.head(8).first([8])[0])
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_padding_changes_no_answer_of_the_sequence_model() -> None:
    workload = load_from(str(template("sequence")))
    tokens, mask = workload.validation.inputs
    model = workload.model().eval()
    other = torch.where(mask, tokens, (tokens + 1) % 12)
    assert not torch.equal(other, tokens)
    with torch.no_grad():
        torch.testing.assert_close(model(other, mask), model(tokens, mask))
        torch.testing.assert_close(model(tokens, mask.long()), model(tokens, mask))  # as tokenizers have it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "there.py"], "The file 'there.py' exists: choose another name, or give --force"),
        (["new", "folder.py", "--force"], "'folder.py' exists and is no file that can be overwritten"),
        (["new", "dangling.py"], "'dangling.py' exists and is no file"),
        (["new", "mine.txt"], "must end in .py and have no colon, such as my_problem.py, got 'mine.txt'"),
        (["new", "mine"], "must end in .py"),
        (["new", ".py"], "must end in .py"),
        (["new", "folder.py/"], "must end in .py"),
        (["new", "a:b.py"], "must end in .py and have no colon"),
        (["new", ""], "must end in .py"),
        (["new", "no/mine.py"], "There is no directory 'no': make it first"),
        (["new", "there.py/mine.py"], "There is no directory 'there.py'"),
        (["new", "x" * 300 + ".py"], "cannot be written"),
        (["new", "mine.py", "--kind", "image"], "There is no kind of file 'image'. Did you mean images?"),
        (["new", "mine.py", "--kind", "__init__"], "Known: classifier, custom-step, images, regression, sequence."),
        (["new"], "Missing argument"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_all_as_it_was(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "there.py").write_text("mine")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "dangling.py").symlink_to("nowhere")
    done = call(*arguments, cwd=tmp_path)
    assert done.status == 2
    assert message in " ".join(done.errors.replace("│", " ").split())
    assert "Traceback" not in done.errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling.py", "folder.py", "there.py"]
    assert (tmp_path / "there.py").read_text() == "mine"


def test_force_overwrites(tmp_path: Path) -> None:
    (tmp_path / "there.py").write_text("mine")
    assert call("new", "there.py", "--force", "--kind", "sequence", cwd=tmp_path).status == 0
    assert (tmp_path / "there.py").read_bytes() == template("sequence").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["there.py"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_short_and_says_how_to_run_it(kind: str) -> None:
    text = template(kind).read_text(encoding="utf-8")
    assert 40 <= len(text.splitlines()) <= 75
    told = ast.get_docstring(ast.parse(text)) or ""
    assert "thalweg compare FILE --budget 1min" in told
    assert 'thalweg compare FILE --optimizers "adam,sgd"' in told
    assert text.count("# TODO:") >= 3


@pytest.mark.parametrize("command", [["format", "--check"], ["check"]])
def test_templates_are_formatted_and_linted_wherever_they_are_written(command: list[str], tmp_path: Path) -> None:
    """By the repository's settings; ruff's own, with lines of 88, would be another form."""
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed")
    settings = Path(__file__).parents[2] / "pyproject.toml"
    done = subprocess.run(
        [ruff, *command, "--no-cache", "--config", settings, FOLDER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
