"""Native code is compiled once, kept on disk by its content, and never run from a damaged file."""

import ctypes
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from native_programs import natively, require_equal, workload
from torch import nn

from thalweg.execution.lowering import codegen_cache
from thalweg.population.native import compiled
from thalweg.population.native.body import Body
from thalweg.population.native.memory import offsets
from thalweg.population.native.places import Unsupported, dense
from thalweg.population.native.products import product

IR = """
define i64 @answer() {
  ret i64 %s
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compiled, "kernels_folder", lambda: tmp_path)
    return tmp_path


def answer(number: int) -> int:
    code = compiled.Compiled(
        IR % number, ("thalweg_nothing", ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p).value or 0)
    )
    return int(ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("answer"))())


def test_code_is_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(42) == 42
    (kept,) = folder.iterdir()
    monkeypatch.setattr(compiled, "_optimize", lambda *_: pytest.fail("it is compiled again"))
    assert answer(42) == 42
    assert [*folder.iterdir()] == [kept]


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"", lambda b: b[:40] + b"\0" * 40 + b[80:]])
def test_a_damaged_file_is_replaced(damage: object, folder: Path) -> None:
    answer(43)
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))  # type: ignore[operator]
    assert answer(43) == 43
    assert kept.read_bytes() == whole


def test_without_a_place_to_keep_it_code_is_compiled_all_the_same(folder: Path) -> None:
    (folder / "file").write_text("")
    compiled._write(folder / "file" / "native_x.o", b"code")
    assert answer(44) == 44


def test_the_folder_is_that_of_the_kernels() -> None:
    assert compiled.kernels_folder is codegen_cache.kernels_folder


def test_blocks_that_are_needed_at_once_lie_apart() -> None:
    """A chain of sums: each block is last read by the next; two of three share memory."""
    places = [dense(f"w{i}", (40,), torch.float32) for i in range(4)]
    bodies = []
    for a, b in pairwise(places):
        body = Body((40,))
        body.store(b, body.load(a))
        bodies.append(body)
    at, size = offsets(bodies, dict.fromkeys(("w0", "w1", "w2", "w3"), 160))
    assert at["w0"] != at["w1"] != at["w2"] != at["w3"]
    assert size == 2 * 192
    assert all(place % 64 == 0 for place in at.values())


@pytest.mark.parametrize("turned", [False, True])
def test_a_product_writes_rows_or_columns(turned: bool) -> None:
    """BLAS writes by columns: a result by rows is the product of the transposes."""
    a, b = dense("a", (3, 4), torch.float32), dense("b", (4, 5), torch.float32)
    into = dense("c", (3, 5), torch.float32, (1, 3) if turned else None)
    made = product(a, b, into)
    assert (made.m, made.n, made.k) == ((3, 5, 4) if turned else (5, 3, 4))
    assert made.a.block == ("a" if turned else "b")


def test_a_step_of_a_batch_of_one_sample() -> None:
    x, y = torch.randn(1, 4, dtype=torch.float64), torch.tensor([2])
    require_equal(workload(lambda: nn.Linear(4, 3).double(), x, y, nn.functional.cross_entropy))


def test_a_tensor_that_is_both_input_and_target() -> None:
    x = torch.randn(6, 4, dtype=torch.float64)
    require_equal(workload(lambda: nn.Linear(4, 4).double(), x, x, nn.functional.mse_loss))


def test_parameters_reached_as_constants_are_refused() -> None:
    held: list[nn.Parameter] = []

    class Reaching(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * held[-1].sum()

    def model() -> nn.Module:
        made = Reaching(4, 3).double()
        held.append(made.weight)
        return made

    x, y = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    with pytest.raises(Exception, match="past its module"):
        natively(workload(model, x, y, nn.functional.cross_entropy), members=1)


def test_a_function_that_is_not_there_is_refused() -> None:
    text = "declare double @no_such_function(double)\n" + IR % 1
    with pytest.raises(Unsupported, match="no_such_function is not in this process"):
        compiled.Compiled(text, ("thalweg_nothing", 1))
