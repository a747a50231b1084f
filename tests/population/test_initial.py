"""Weights to start from: every member has them, what they leave out is the model's own, and files are read safely."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import thalweg
from problems import TinyNet, tiny
from thalweg.population.program.models import build
from thalweg.workloads.workload import Workload

WEIGHTS = {"hidden.weight": torch.randn(16, 6, generator=torch.Generator().manual_seed(3)), "out.bias": torch.ones(3)}


def of(initial: Any) -> Workload:
    return tiny(model=lambda: TinyNet(torch.float32), initial=initial)


def saved(kind: str, folder: Path) -> Any:
    if kind == "mapping":
        return WEIGHTS
    path = folder / ("w.safetensors" if kind == "safetensors" else "w.pt")
    save_file(WEIGHTS, path) if kind == "safetensors" else torch.save(WEIGHTS, path)
    return path


@pytest.mark.parametrize("kind", ["mapping", "safetensors", "torch"])
def test_members_start_from_them(kind: str, tmp_path: Path) -> None:
    workload = of(saved(kind, tmp_path))
    for seed in (0, 1):
        model, own = (dict(build(w, seed, torch.device("cpu")).named_parameters()) for w in (workload, of(None)))
        assert all(torch.equal(model[name], w) for name, w in WEIGHTS.items())
        assert torch.equal(model["out.weight"], own["out.weight"])
        assert torch.equal(model["hidden.bias"], own["hidden.bias"])


def test_a_study_starts_from_the_weights_of_another() -> None:
    asked: dict[str, Any] = {"learning_rates": [0.01], "seeds": 1, "confirm_seeds": 1, "progress": False}
    best = thalweg.compare(tiny(epochs=3), "adam", **asked).best
    assert best is not None
    model = best.train()
    again = thalweg.compare(tiny(epochs=1, initial=dict(model.state_dict())), "adam", **asked)
    validation = tiny().validation
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(validation.inputs[0]), validation.targets)
    assert all(r.initial_validation_loss == pytest.approx(loss.item(), rel=1e-5) for r in again.runs)


class Harmful:
    def __reduce__(self) -> Any:
        raise AssertionError("it was unpickled")


@pytest.mark.parametrize(
    ("initial", "sentence"),
    [
        ({"no.such": torch.ones(1)}, r"initial has no\.such, which the model has not: it has hidden\.weight"),
        ({"out.bias": torch.ones(4)}, r"initial has 'out\.bias' of shape \[4\], and the model's is \[3\]"),
        ({"out.bias": torch.ones(3, dtype=torch.int8)}, r"initial has 'out\.bias' in torch\.int8, and the model's is"),
        ({}, r"initial must be tensors by name"),
        ({"a": 3}, r"initial must be tensors by name"),
        (3, r"initial must be tensors by name"),
        ("nothing.safetensors", r"does not exist"),
    ],
)
def test_refusals(initial: Any, sentence: str) -> None:
    with pytest.raises(thalweg.InputError, match=sentence):
        build(of(initial), 0, torch.device("cpu"))


def test_nothing_is_unpickled_but_tensors(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(pickle.dumps({"a": print}))
    with pytest.raises(thalweg.InputError, match="cannot be read"):
        of(path)
    (tmp_path / "w.safetensors").write_bytes(b"no such format")
    with pytest.raises(thalweg.InputError, match="cannot be read"):
        of(tmp_path / "w.safetensors")


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8, torch.bool])
def test_labels_of_any_whole_dtype(dtype: torch.dtype) -> None:
    x = torch.randn(64, 6)
    y: Tensor = x[:, 0] > 0
    train = (x, y.to(dtype))
    result = thalweg.compare(
        Workload(name="w", model=lambda: nn.Linear(6, 2), train=train, validation=train, epochs=1),
        "sgd", [0.1], seeds=1, confirm_seeds=0, progress=False,
    )  # fmt: skip
    assert not result.rows[0].failures


class Tied(TinyNet):
    def __init__(self) -> None:
        super().__init__(torch.float32)
        self.again = nn.Linear(16, 3)
        self.again.weight = self.out.weight


def test_tied_weights_have_each_of_their_names() -> None:
    state = Tied().state_dict()
    model = build(tiny(model=Tied, initial=dict(state)), 5, torch.device("cpu"))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
