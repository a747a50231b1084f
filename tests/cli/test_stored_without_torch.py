"""The commands over stored studies import neither torch nor scipy.stats: they answer in half a second."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from records_fixture import RUN, STUDY
from thalweg.records.store import Store

CODE = """
import json, sys
sys.argv = ["thalweg", *sys.argv[1:]]
from thalweg.cli.main import run
try:
    run()
except SystemExit as end:
    loaded = [name for name in ("torch", "numba", "scipy.stats", "sklearn", "pandas") if name in sys.modules]
    print(json.dumps([end.code, loaded]), file=sys.stderr)
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two contenders, each with final runs of two seeds."""
    study = replace(STUDY, contenders=("adam", "sgd"), learning_rates={"adam": (0.1,), "sgd": (0.1,)})
    study = replace(study, confirmation_seeds=(1000, 1001))
    runs = [
        replace(RUN, contender=name, factors={"optimizer": name}, seed=seed, role=role)
        for name in study.contenders
        for role, seeds in (("tuning", (0, 1, 2)), ("confirmation", (1000, 1001)))
        for seed in seeds
    ]
    runs = [replace(run, test_metric=0.9 + 0.01 * (i % 3)) for i, run in enumerate(runs)]
    store, number = Store.begin(tmp_path, study)
    store.add(number, dict(enumerate(runs)))
    store.finish(number, study, "Use adam.")
    store.close()
    return tmp_path


@pytest.mark.parametrize("command", ["studies", "show", "report", "export", "diff 1 1", "delete 1", "watch", "--help"])
def test_no_torch(command: str, out: Path) -> None:
    place = [] if command == "--help" else ["--out", str(out)]
    done = subprocess.run([sys.executable, "-c", CODE, *command.split(), *place], capture_output=True, text=True)
    assert json.loads(done.stderr.splitlines()[-1]) == [0, []], done.stderr
    assert done.stdout
