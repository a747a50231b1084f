"""What type checkers, editors and configuration tools see of the classes is what their constructors take."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import ParamsT

import thalweg.optim
from scope import THOROUGH
from thalweg.optim.classes import drop_ins
from thalweg.optim.stubs import stub
from thalweg.schedules import Schedule

every_class = pytest.mark.parametrize("cls", drop_ins().values(), ids=drop_ins())
STUB = Path(thalweg.optim.__file__).with_suffix(".pyi")


def test_the_stub_is_up_to_date():
    assert stub() == STUB.read_text(), "Run: python -m thalweg.optim.stubs > src/thalweg/optim/__init__.pyi"


@pytest.mark.skipif(not THOROUGH, reason="takes half a minute; THALWEG_THOROUGH=1 runs it")
def test_a_type_checker_reads_it(tmp_path):
    """Right arguments pass, a misspelt one and a wrong type do not."""
    file = tmp_path / "used.py"
    file.write_text(
        "import torch\nfrom thalweg.optim import SGD, AdamW, grouped\n"
        "ps = [torch.zeros(1)]\n"
        "AdamW(ps, 1e-3, betas=(0.9, 0.95), weight_decay=0.1, cautious=True, state_dtype=torch.bfloat16)\n"
        "SGD(grouped(torch.nn.Linear(1, 1)), lr=torch.tensor(0.1), momentum=0.9, convention='keras')\n"
        "SGD(ps, learning_rate=0.1)\n"
        "AdamW(ps, lr='fast')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent", str(file)],
        capture_output=True, text=True, cwd=STUB.parents[2], check=False,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert len(errors) == 2, done.stdout
    assert "Unexpected keyword argument" in errors[0]
    assert 'has incompatible type "str"; expected "float | Tensor | Schedule"' in errors[1]


@every_class
def test_every_argument_of_the_constructor_has_a_type(cls):
    of_class, of_init = inspect.signature(cls), inspect.signature(cls.__init__)
    assert [*of_init.parameters.values()][1:] == [*of_class.parameters.values()]
    assert next(iter(of_init.parameters)) == "self"
    hints = typing.get_type_hints(cls.__init__)
    assert set(hints) == {*of_class.parameters, "return"}
    assert (hints["params"], hints["return"]) == (ParamsT, type(None))
    assert hints["lr"] == float | torch.Tensor | Schedule
    assert hints["cautious"] is bool
    assert hints["foreach"] == bool | None


@every_class
def test_defaults_are_of_their_types(cls):
    for p in [*inspect.signature(cls).parameters.values()][1:]:
        assert _fits(p.default, p.annotation), p


def _fits(value, of):
    origin, arguments = typing.get_origin(of), typing.get_args(of)
    if origin is typing.Literal:
        return value in arguments
    if origin is tuple:
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    return any(_fits(value, a) for a in arguments) if arguments else isinstance(value, of)


def test_the_conventions_are_those_of_the_class():
    of = {
        name: inspect.signature(drop_ins()[name]).parameters["convention"].annotation for name in ("Adam", "AdaBound")
    }
    assert of["Adam"] == typing.Literal["torch", "keras", "optax", "paper"]
    assert set(typing.get_args(of["AdaBound"])) == set(thalweg.optim.AdaBound.recipe.conventions)
