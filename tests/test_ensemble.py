"""Ensembles: members as the plain loop trains them, what they answer together by hand, kept and resumed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

import thalweg
from problems import TinyNet, points, tiny
from thalweg.api.ensemble import read_models
from thalweg.errors import Interrupted
from thalweg.records.store import Store
from thalweg.studies.kept_models import write_weights

ASKED: dict[str, Any] = {"learning_rate": 1e-2, "progress": False}
X = points(40, 7, torch.float64)[0]


@pytest.fixture(autouse=True)
def held_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one measurement that a plan depends on."""
    monkeypatch.setattr("thalweg.population.planning.backend.time_together", lambda *_: 0.0)


@pytest.fixture(scope="module")
def made() -> thalweg.Ensemble:
    return thalweg.ensemble(tiny(torch.float64), members=3, optimizer="sgd(momentum=0.9)", **ASKED)


def by_the_loop(seed: int, epochs: int = 3) -> nn.Module:
    """A member by hand, in plain PyTorch."""
    torch.manual_seed(seed)
    model, (x, y) = TinyNet(torch.float64), points(330, 1, torch.float64)
    optimizer, order = torch.optim.SGD(model.parameters(), 1e-2, 0.9), torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for index in torch.randperm(330, generator=order).split(16):
            optimizer.zero_grad()
            F.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
    return model.eval()


def accuracy(p: torch.Tensor) -> float:
    return float((p.argmax(1) == points(110, 3, torch.float64)[1]).double().mean())


def test_members_and_their_mean_by_hand(made: thalweg.Ensemble) -> None:
    models = [by_the_loop(seed) for seed in (0, 1, 2)]
    with torch.no_grad():
        each = [model(X).softmax(1) for model in models]
        test = [model(points(110, 3, torch.float64)[0]).softmax(1) for model in models]
    for ours, p in zip(made.models, each, strict=True):
        assert not ours.training
        assert torch.allclose(ours(X).softmax(1), p, atol=1e-9)
    assert torch.allclose(made.predict(X), torch.stack(each).mean(0), atol=1e-9)
    assert torch.allclose(made.outputs(X), torch.stack(each).mean(0).log(), atol=1e-9)
    assert made.scores["ensemble"] == accuracy(torch.stack(test).mean(0))
    assert [m["score"] for m in made.scores["members"]] == [accuracy(p) for p in test]
    assert made.scores["split"] == "test"
    assert made.seeds == (0, 1, 2)


def test_the_runs_and_the_scores_agree(made: thalweg.Ensemble) -> None:
    assert [run.test_metric for run in made.runs] == [m["score"] for m in made.scores["members"]]
    gains = [made.scores["ensemble"] - m["score"] for m in made.scores["members"]]
    assert made.scores["gain"]["mean"] == pytest.approx(sum(gains) / 3)


def test_logits_are_averaged_on_request() -> None:
    found = thalweg.ensemble(tiny(torch.float64, epochs=1), 2, average="logits", **ASKED)
    with torch.no_grad():
        mean = torch.stack([model(X) for model in found.models]).mean(0)
    assert torch.allclose(found.outputs(X), mean)
    assert torch.allclose(found.predict(X), mean.softmax(1))


def test_saved_models_are_loaded_again(made: thalweg.Ensemble, tmp_path: Path) -> None:
    made.save(tmp_path / "models")
    model = TinyNet(torch.float64)
    model.load_state_dict(load_file(tmp_path / "models" / "model-1.safetensors"), strict=False)
    assert torch.equal(model(X), made.models[1](X))
    again = read_models(tmp_path / "models", made.job)
    assert [m.seed for m in again] == [0, 1, 2]
    with pytest.raises(thalweg.InputError, match="holds no ensemble"):
        read_models(tmp_path, made.job)


def test_kept_and_read_again(made: thalweg.Ensemble, tmp_path: Path) -> None:
    workload = tiny(torch.float64)
    stored = thalweg.ensemble(workload, 3, optimizer="sgd(momentum=0.9)", out=tmp_path, tag="mine", **ASKED)
    assert torch.equal(stored.predict(X), made.predict(X))
    shown = thalweg.Studies(tmp_path).open()
    assert shown.verdict == made.verdict
    assert shown.facts()["findings"] == made.facts()["findings"]
    json.dumps(shown.facts(), allow_nan=False)
    with pytest.raises(thalweg.InputError, match="is your own"):
        thalweg.resume(tmp_path)
    again = thalweg.resume(tmp_path, workload=workload, progress=False)
    assert torch.equal(again.predict(X), made.predict(X))
    report = thalweg.Studies(tmp_path).report()
    assert "3 models of sgd" in report.read_text("utf-8")
    assert "data:image/svg+xml" in report.read_text("utf-8")
    thalweg.Studies(tmp_path).delete(1)
    assert not (tmp_path / "models" / "1").exists()


def test_it_goes_on_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second population's runs are lost; the first one's are not trained again, and the result is the same."""
    workload, add = tiny(torch.float64), Store.add
    asked = {"members": 8, "optimizer": "adam", **ASKED}
    whole, count = thalweg.ensemble(workload, **asked), iter(range(9))

    def once(self: Store, *args: Any) -> None:
        if next(count):
            raise KeyboardInterrupt
        add(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "add", once)
        with pytest.raises(Interrupted):
            thalweg.ensemble(workload, out=tmp_path, **asked)
    finished = thalweg.Studies(tmp_path).open()
    assert 0 < len(finished.runs) < 8
    assert "not finished" in finished.verdict
    again = thalweg.resume(tmp_path, workload=workload, progress=False)
    assert torch.equal(again.predict(X), whole.predict(X))
    assert again.verdict == whole.verdict


def test_a_missing_model_is_said(tmp_path: Path) -> None:
    workload = tiny(epochs=1)
    thalweg.ensemble(workload, 2, out=tmp_path, **ASKED)
    (tmp_path / "models" / "1" / "1.safetensors").unlink()
    with pytest.raises(thalweg.InputError, match=r"1\.safetensors is missing"):
        thalweg.resume(tmp_path, workload=workload, progress=False)


def test_snapshots_are_those_of_one_run_under_a_cyclic_schedule() -> None:
    found = thalweg.ensemble(tiny(torch.float64), 3, snapshots=True, optimizer="sgd(momentum=0.9)", **ASKED)
    steps = 3 * 21
    assert [m.step for m in found.trained] == [21, 42, 63]
    torch.manual_seed(0)
    model, (x, y) = TinyNet(torch.float64), points(330, 1, torch.float64)
    optimizer, order = torch.optim.SGD(model.parameters(), 1e-2, 0.9), torch.Generator().manual_seed(0)
    batches = [i for _ in range(3) for i in torch.randperm(330, generator=order).split(16)]
    for t in range(steps):
        rate = 0.5e-2 * (1 + torch.cos(torch.tensor(torch.pi * (t % 21) / 21, dtype=torch.float64)))
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.zero_grad()
        F.cross_entropy(model(x[batches[t]]), y[batches[t]]).backward()
        optimizer.step()
        if t % 21 == 20:
            with torch.no_grad():
                assert torch.allclose(found.models[t // 21](X), model(X), atol=1e-9)
    averaged = found.scores["averaged_weights"]
    assert set(averaged) == {"mean", "soup", "ingredients"}
    assert len(found.runs) == 1


def test_models_that_broke_off_stand_in_no_score() -> None:
    def model() -> nn.Module:
        net = TinyNet(torch.float32)
        with torch.no_grad():
            if torch.initial_seed() == 1:
                net.out.weight.mul_(1e38)
        return net

    found = thalweg.ensemble(tiny(model=model, epochs=1), 3, **ASKED)
    assert found.seeds == (0, 2)
    assert "1 run broke off" in found.verdict


class Regression(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)[:, 0]


def test_regression_without_a_test_split() -> None:
    x, y = points(64, 1, torch.float32)
    data = (x, y.float())
    workload = thalweg.Workload(name="line", model=Regression, train=data, validation=data, loss=F.mse_loss, epochs=2)
    found = thalweg.ensemble(workload, 2, **ASKED)
    with torch.no_grad():
        mean = torch.stack([m(x) for m in found.models]).double().mean(0)
    assert torch.allclose(found.predict(x), mean)
    assert found.scores["ensemble"] == pytest.approx(float(F.mse_loss(mean, y.double())), rel=1e-5)
    assert (found.scores["split"], found.scores["average"]) == ("validation", "outputs")
    assert found.scores["gain"]["mean"] > 0, "by Jensen, the mean has a lower squared error than its members"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"members": 1}, "members must be a whole number from 2 to 1,000, got 1"),
        ({"optimizer": "adam(lr=1e-3)"}, "has a learning rate of its own, and learning_rate is given"),
        ({"optimizer": "adamm"}, "Did you mean adam"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive finite number"),
        ({"snapshots": True, "schedule": "cosine"}, "cyclic schedule of their own"),
        ({"snapshots": True, "members": 60}, "63 steps is too short for 60 snapshots"),
        ({"average": "votes"}, "average must be one of probabilities, logits"),
        ({"mebers": 3}, "ensemble has no argument 'mebers'"),
        ({"epochs": 1, "steps": 2}, "give one of the two"),
    ],
)
def test_refused(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(thalweg.InputError, match=sentence):
        thalweg.ensemble(tiny(), **{**ASKED, **asked})


def test_a_step_of_ones_own_is_refused() -> None:
    step = lambda model, batch: F.cross_entropy(model(batch[0]), batch[1])  # noqa: E731
    workload = thalweg.Workload(name="s", model=lambda: nn.Linear(6, 3), train=points(8, 1, torch.float32),
                                validation=points(8, 1, torch.float32), step=step)  # fmt: skip
    with pytest.raises(thalweg.InputError, match="has a step of its own"):
        thalweg.ensemble(workload, 2, **ASKED)


def test_two_that_diverge_are_no_ensemble() -> None:
    with pytest.raises(thalweg.InputError, match="needs two models that trained to their end, and 0 did"):
        thalweg.ensemble(tiny(model=lambda: _Huge(), epochs=1), 2, **ASKED)


class _Huge(TinyNet):
    def __init__(self) -> None:
        super().__init__(torch.float32)
        with torch.no_grad():
            self.out.weight.fill_(float("inf"))


def test_every_size_of_a_wider_loop_is_the_same(made: thalweg.Ensemble) -> None:
    """A member does not depend on who trains beside it."""
    wide = thalweg.ensemble(replace(tiny(torch.float64)), 5, optimizer="sgd(momentum=0.9)", **ASKED)
    for a, b in zip(made.models, wide.models, strict=False):
        assert torch.allclose(a(X), b(X), atol=1e-9)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors has an error of its own for it."""

    def full(*_: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(thalweg.InputError, match=r"cannot be written to .*: I/O error: No space left on device"):
        write_weights(tmp_path / "a.safetensors", {"w": torch.zeros(2)})
    assert not [*tmp_path.iterdir()]
