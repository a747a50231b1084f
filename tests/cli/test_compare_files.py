"""A workload in a user's file, from the command line: compared, stopped, gone on with, refused where it changed."""

import signal
from pathlib import Path

import thalweg
from cli_process import Ended, Program

FILE = """
import torch
from torch import nn
import thalweg


def points(n, seed):
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long()


workload = thalweg.Workload(
    name="mine", model=lambda: nn.Linear(6, 2), train=points(320, 0), validation=points(64, 1), epochs=2
)


def broken():
    return workload.no_such_attribute
"""
FEW = ("--optimizers", "sgd,torch.optim:RAdam", "--learning-rates", "0.1,0.01", "--seeds", "1", "--confirm-seeds", "1")


def call(*arguments: str, cwd: Path) -> Ended:
    return Program(*arguments, cwd=cwd).end()


def test_compare_and_resume(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    done = call("compare", "mine.py", *FEW, cwd=tmp_path)
    assert done.status == 0, done.errors
    assert "Use " in done.output
    (tmp_path / "elsewhere").mkdir()
    again = call("resume", "--out", str(tmp_path / "thalweg-out"), cwd=tmp_path / "elsewhere")
    assert again.status == 0, again.errors
    assert again.output.splitlines()[:3] == done.output.splitlines()[:3]


def test_a_study_stopped_goes_on_unless_its_file_changed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE.replace("epochs=2", "epochs=2000"))
    program = Program("compare", "mine.py", *FEW, "--checkpoint-every", "1s", cwd=tmp_path)
    while "tuning" not in program.errors.readline():
        pass
    program.send(signal.SIGINT)
    stopped = program.end()
    assert stopped.status == 130, stopped.errors
    assert "Resume with: thalweg resume 1" in stopped.errors
    assert thalweg.Studies(tmp_path / "thalweg-out").open().study.request["workload"] == str(tmp_path / "mine.py")
    changed = FILE.replace("epochs=2", "epochs=2000").replace("points(320, 0)", "points(320, 7)")
    (tmp_path / "mine.py").write_text(changed)
    refused = call("resume", cwd=tmp_path)
    assert refused.status == 2
    assert "The data of the workload 'mine' changed since the study was begun" in refused.errors
    (tmp_path / "mine.py").unlink()
    gone = call("resume", cwd=tmp_path)
    assert gone.status == 2
    assert "does not exist" in gone.errors


def test_a_users_mistake_is_one_sentence_and_a_traceback_with_verbose(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    plain = call("compare", "mine.py:broken", cwd=tmp_path)
    assert plain.status == 2
    line = FILE.splitlines().index("    return workload.no_such_attribute") + 1
    assert plain.errors.startswith(f"thalweg: mine.py, line {line}: AttributeError: 'Workload' object has no attribute")
    assert "Traceback" not in plain.errors
    told = call("compare", "mine.py:broken", "--verbose", cwd=tmp_path)
    assert told.status == 2
    assert "Traceback" in told.errors
