"""Kernels on disk: named by their content, compiled once, and never an old formula."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch

from scope import THOROUGH
from small_rules import recipe_of
from thalweg.execution import compiled
from thalweg.execution.cpu import source
from thalweg.execution.lowering import codegen_cache
from thalweg.recipes.catalogue import recipe
from thalweg.recipes.row_table import table
from thalweg.recipes.trace import trace
from thalweg.rules.hyperparameters import Rate
from thalweg.testing.trajectories import EXECUTIONS, advance, begin


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A kernel folder of the test's own, and a memory without kernels."""
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path))
    forget()
    yield tmp_path / "thalweg" / "kernels"
    forget()


def forget():
    codegen_cache.kernels_folder.cache_clear()
    codegen_cache._module.cache_clear()


def scaled(factor):
    """A rule of one name with a formula that differs: `lr · factor · g`."""

    def r(g, p, t, *, lr: Rate = 0.5):
        return (factor(g, p) * lr,)

    return recipe_of(r)


def stepped(made, dtype=torch.float32):
    run = begin(made, made.resolve({}), torch.tensor([4.0, 8.0], dtype=dtype))
    advance(EXECUTIONS["compiled"], [run], [torch.tensor([1.0, 2.0], dtype=dtype)])
    return run.p.tolist()


def files(folder):
    return sorted(path.name for path in folder.glob("*.py"))


def test_a_row_that_is_not_active_is_left_as_it_is():
    """[rows, elements]; the first row would become NaN."""
    adam = recipe("adam")
    program = trace(adam.structure(adam.resolve({})))
    values = {h: np.array([float(v)] * 3) for h, v in adam.defaults.items() if h in program.inputs} | {"t": 1.0}
    columns, active = table(program.update, values)[0], np.array([False, True, True])
    elements = {name: torch.ones(3, 4, dtype=torch.float64) for name in ("g", "p", *program.states)}
    elements["g"][0] = torch.nan
    step = compiled.prepare(program.update, torch.device("cpu"), (torch.float64,) * len(elements), np.full(3, 4), 3)
    step.pointers[:] = [[row.data_ptr() for row in elements[name]] for name in elements]
    step.which[:], step.active[:] = np.arange(3), active
    step(columns)
    for name in ("p", *program.states):
        assert elements[name][0].tolist() == [1.0] * 4
        assert elements[name].isfinite().all()
    assert (elements["p"][1:] < 1).all()


def test_a_kernel_is_one_file_and_compiled_once(cache):
    made = scaled(lambda g, p: g)
    assert stepped(made) == stepped(made) == [3.5, 7.0]
    first = files(cache)
    assert len(first) == 1
    forget()
    assert stepped(made) == [3.5, 7.0]
    assert files(cache) == first


def test_a_changed_formula_is_another_file(cache):
    assert stepped(scaled(lambda g, p: g)) == [3.5, 7.0]
    assert stepped(scaled(lambda g, p: p)) == [2.0, 4.0]
    assert stepped(scaled(lambda g, p: -g)) == [4.5, 9.0]
    assert len(files(cache)) == 3


def test_one_formula_is_one_file_whatever_its_rule_is_called(cache):
    def other(g, p, t, *, lr: Rate = 0.5):
        return (lr * g,)

    assert stepped(recipe_of(other)) == stepped(scaled(lambda g, p: g))
    assert len(files(cache)) == 1


def test_each_dtype_is_another_file(cache):
    made = scaled(lambda g, p: g)
    assert stepped(made, torch.float32) == stepped(made, torch.float64)
    assert len(files(cache)) == 2


def test_a_hyperparameter_is_no_part_of_the_file(cache):
    for default in (0.5, 0.25):

        def r(g, p, t, *, lr: Rate = default):
            return (lr * g,)

        assert stepped(recipe_of(r)) == [4 - default, 8 - 2 * default]
    assert len(files(cache)) == 1


def test_the_name_is_the_content(cache):
    stepped(scaled(lambda g, p: g))
    (name,) = files(cache)
    assert name.startswith("kernel_")
    assert "_x0 = _k0 * g" in (cache / name).read_text()


def test_where_nothing_can_be_written(tmp_path, monkeypatch, cache):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("THALWEG_CACHE", str(blocked / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert stepped(scaled(lambda g, p: g)) == [3.5, 7.0]
    assert not files(cache)
    assert codegen_cache.kernels_folder().parent == tmp_path
    assert len(files(codegen_cache.kernels_folder())) == 1


def test_the_source_has_no_literals():
    made = scaled(lambda g, p: 0.125 * g + 3)
    program = trace(made.structure(made.resolve({})))
    body = source.kernel(program.update, ("float32",) * 2).partition("for _i in range")[2].rpartition("_part")[0]
    assert "0.125" not in body
    assert "3" not in body.replace("_x3", "").replace("_k3", "")


def test_two_processes_compiling_at_once(tmp_path):
    program = (
        "import torch; from thalweg.optim import Adam; p = torch.full((5,), 2.0, requires_grad=True);"
        " p.grad = torch.arange(5.0); Adam([p]).step(); print(p.tolist())"
    )
    environment = {**os.environ, "THALWEG_CACHE": str(tmp_path)}
    together = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=-1, stderr=-1, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate() for process in together]
    assert [error for _, error in answers] == ["", ""]
    assert answers[0] == answers[1]
    assert len(files(tmp_path / "thalweg" / "kernels")) == 3  # the step, what counts the steps, what finds tensors


@pytest.mark.asks_more("twice as many processes")
def test_threads_that_begin_to_compile_at_once(tmp_path):
    """Numba's own locks deadlock where two threads load their first kernels: one in a few processes hung."""
    program = (
        "import faulthandler; faulthandler.dump_traceback_later(60, exit=True)\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from thalweg.execution.cpu import kernels\n"
        "from thalweg.recipes.catalogue import recipe\n"
        "from thalweg.recipes.trace import trace\n"
        "stages = [trace(r.structure(r.resolve({}))).update for r in map(recipe, ('adam', 'sgd', 'lion', 'nadam'))]\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    list(pool.map(lambda s: kernels.kernel(s, ('float32',) * (2 + len(s.states))), stages))\n"
        "print('compiled')"
    )
    environment = {**os.environ, "THALWEG_CACHE": str(tmp_path)}
    for _ in range(4 if THOROUGH else 2):  # compiled, then from the cache, when the threads meet most
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
        )
        assert done.stdout == "compiled\n", done.stderr[-2000:]
