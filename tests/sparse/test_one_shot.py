"""Pruning at once, what is on disk afterwards, the report per layer, and inference with sparse layers."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

import thalweg
from thalweg.errors import InputError
from thalweg.sparse import export, load, report, timing
from thalweg.sparse.timing import sparse_copy


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 20), nn.Linear(20, 4)
    )


def zeros(model: nn.Module) -> int:
    return sum(int((p == 0).sum()) for p in model.parameters() if p.ndim > 1)


WEIGHTS = 8 * 4 * 9 + 128 * 20 + 20 * 4


def test_the_smallest_go() -> None:
    model, before = net(), net()
    thalweg.sparse.magnitude(model, 0.8)
    assert zeros(model) == round(0.8 * WEIGHTS)
    left = torch.cat([p[p != 0].abs() for p in model.parameters() if p.ndim > 1])
    pairs = zip(before.parameters(), model.parameters(), strict=True)
    gone = torch.cat([b[p == 0].abs() for b, p in pairs if p.ndim > 1])
    assert gone.max() <= left.min()
    assert torch.equal(model[1].weight, before[1].weight), "a norm is never pruned"


def test_pruning_again_counts_of_all_weights() -> None:
    """Unlike torch's, whose second amount is a share of what the first left."""
    model = net()
    for _ in range(3):
        thalweg.sparse.magnitude(model, 0.5)
    assert zeros(model) == WEIGHTS // 2


def test_random_ones_go_and_those_at_zero_count() -> None:
    model = net()
    first = thalweg.sparse.random(model, 0.5, seed=3)
    second = thalweg.sparse.random(model, 0.7, seed=4)
    assert zeros(model) == round(0.7 * WEIGHTS)
    assert not any((second[name] & ~first[name]).any() for name in first)


def test_a_threshold() -> None:
    model, before = net(), net()
    masks = thalweg.sparse.threshold(model, 0.02)
    for (name, p), b in zip(model.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(p, b * (b.abs() >= 0.02) if name in masks else b)


def test_a_report_per_layer() -> None:
    model = net()
    thalweg.sparse.magnitude(model, 0.8, scope="layer", exclude=["5.*"])
    found = {of.name: of for of in report(model).layers}
    assert (found["0.weight"].zeros, found["4.weight"].zeros, found["5.weight"].zeros) == (round(0.8 * 288), 2048, 0)
    assert found["0.weight"].shape == (8, 4, 3, 3)
    line = next(line for line in str(report(model)).splitlines() if line.startswith("4.weight"))
    assert line.split() == ["4.weight", "20", "×", "128", "2,560", "2,048", "80.00%"]


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_export_holds_the_nonzero_numbers_alone_and_loads_bitwise(tmp_path: Path) -> None:
    model, path = net(), tmp_path / "model.safetensors"
    thalweg.sparse.magnitude(model, 0.9)
    made = export(model, path)
    assert path.stat().st_size == made.bytes < made.dense_bytes
    with safe_open(path, "pt") as file:
        values = file.get_tensor("4.weight.values")
        ends, columns = file.get_tensor("4.weight.rows"), file.get_tensor("4.weight.columns")
    csr = model[4].weight.detach().to_sparse_csr()
    assert torch.equal(values, csr.values())
    assert torch.equal(ends.long(), csr.crow_indices().long())
    assert torch.equal(columns.long(), csr.col_indices().long())
    other = load(net(7), path)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_dense_model_is_not_made_larger_by_rows(tmp_path: Path) -> None:
    made = export(net(), tmp_path / "model.safetensors")
    assert made.sparse == ()
    made = export(net(), tmp_path / "dense.safetensors", format="dense")
    assert made.bytes == pytest.approx(made.dense_bytes, abs=200)


def test_sparse_layers_answer_as_dense_ones() -> None:
    model = net().eval()
    thalweg.sparse.magnitude(model, 0.9)
    x = torch.randn(5, 4, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(sparse_copy(model)(x), model(x))
    found = timing(model, x, repeats=2)
    assert found.dense > 0
    assert found.sparse > 0
    assert found.speedup == found.dense / found.sparse


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match=r"sparsity must be a number in \(0, 1\), got 1.5."):
        thalweg.sparse.magnitude(net(), 1.5)
    with pytest.raises(InputError, match="limit must be a number in"):
        thalweg.sparse.threshold(net(), 0)
    with pytest.raises(InputError, match="exclude must name a parameter"):
        thalweg.sparse.random(net(), 0.5, exclude=["head.*"])
    with pytest.raises(InputError, match=r"format must be one of csr, dense, got 'coo'\."):
        export(net(), path, "coo")
    with pytest.raises(InputError, match=r"path must be a .safetensors file"):
        export(net(), tmp_path / "model.pt")
    with pytest.raises(InputError, match="cannot be written"):
        export(net(), tmp_path / "no" / "model.safetensors")
    with pytest.raises(InputError, match="cannot be read as a safetensors file"):
        load(net(), path)
    with pytest.raises(InputError, match="repeats must be a whole number"):
        timing(net(), torch.zeros(1, 4, 4, 4), repeats=0)
    with pytest.raises(InputError, match="no linear layer"):
        timing(nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2))


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    export(net(), path)
    with pytest.raises(InputError, match=r"is of another model: .* differ in name or shape"):
        load(nn.Linear(3, 4), path)
