"""Trained layers in another model: what fits is loaded and said, what is frozen stays bit for bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import thalweg
from broken_workloads import X, Y, workload
from thalweg.population.program.models import build
from thalweg.records.store import Store
from thalweg.workloads.reuse import Fitting, fitting, load_fitting, reuse

CPU = torch.device("cpu")


def net(inputs: int = 6, outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, outputs))


def trained(**sizes: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        name: torch.randn_like(t) if t.is_floating_point() else t + 7 for name, t in net(**sizes).state_dict().items()
    }


def test_all_layers_of_the_same_model_are_loaded_as_torch_loads_them() -> None:
    weights, ours, theirs = trained(), net(), net()
    found = reuse(ours, weights)
    theirs.load_state_dict(weights)
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))
    assert set(found.loaded) == set(weights)
    assert (found.left, found.own) == ({}, ())
    assert str(found) == "11 of 11 tensors of the model are trained ones."


def test_a_layer_of_which_one_tensor_does_not_fit_begins_anew_as_a_whole() -> None:
    model = net(outputs=5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights = {**trained(), "extra.weight": torch.zeros(2)}
    del weights["3.bias"]
    found = reuse(model, weights)
    after = model.state_dict()
    assert found.own == ("3.weight", "3.bias", "4.weight", "4.bias")
    assert found.left == {
        "3.weight": "its layer does not fit",
        "4.weight": "[3, 8], here [5, 8]",
        "4.bias": "[3], here [5]",
        "extra.weight": "the model has none of that name",
    }
    assert all(torch.equal(after[name], before[name]) for name in found.own)
    assert all(torch.equal(after[name], weights[name]) for name in found.loaded)
    assert "3.weight, 3.bias, 4.weight and 4.bias begin anew" in str(found)
    assert "4.weight ([3, 8], here [5, 8])" in str(found)


def test_beginnings_of_names_are_renamed() -> None:
    weights = {f"encoder.{name}": tensor for name, tensor in trained().items()}
    model = net()
    assert len(reuse(model, weights, rename={"encoder.": ""}).loaded) == 11
    assert torch.equal(model[0].weight, weights["encoder.0.weight"])
    with pytest.raises(thalweg.InputError, match=r"No name of the weights begins with 'decoder\.'"):
        fitting(weights, rename={"decoder.": ""})


def test_what_fits_may_be_left() -> None:
    assert reuse(net(), trained(), leave="4.*").own == ("4.weight", "4.bias")
    with pytest.raises(thalweg.InputError, match="No name of the weights matches 'head' of leave"):
        fitting(trained(), leave=["head"])
    with pytest.raises(thalweg.InputError, match="leave must be names of parameters"):
        fitting(trained(), leave=[3])  # type: ignore[list-item]


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(thalweg.InputError, match=r"None of the weights fits a layer of the model: they are w \[2\]"):
        reuse(net(), {"w": torch.zeros(2)})
    with pytest.raises(thalweg.InputError, match="None of the weights fits"):
        reuse(net(), {name: tensor[..., :1] for name, tensor in trained().items() if tensor.ndim})


def test_whole_numbers_do_not_fit_real_ones() -> None:
    weights = {**trained(), "0.weight": torch.zeros(8, 6, dtype=torch.int8)}
    assert reuse(net(), weights).left["0.weight"] == "torch.int8, here torch.float32"


@pytest.mark.parametrize("how", ["safetensors", "torch"])
def test_files(how: str, tmp_path: Path) -> None:
    path = tmp_path / f"w.{how}"
    (save_file if how == "safetensors" else torch.save)(trained(), path)
    model = net()
    assert len(reuse(model, path).loaded) == 11
    assert torch.equal(model[3].weight, trained()["3.weight"])


def test_frozen_parameters_by_name_and_pattern() -> None:
    model = net()
    reuse(model, trained(), freeze=["0.*", "4.bias"])
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["0.weight", "0.bias", "4.bias"]
    with pytest.raises(thalweg.InputError, match="No parameter of the model is called 'head"):
        reuse(net(), trained(), freeze="head.*")
    with pytest.raises(thalweg.InputError, match="freeze leaves no parameter to train"):
        reuse(net(), trained(), freeze="*")


@pytest.mark.parametrize("given", [3, [4], [""], {"a": 1}])
def test_freeze_takes_names(given: Any) -> None:
    with pytest.raises(thalweg.InputError, match="freeze must be names of parameters"):
        replace(workload(), freeze=given)


@pytest.fixture
def begun() -> Callable[..., Any]:
    """A workload from the weights of a model of its own, as a study would train it."""
    whole = workload()
    weights = {name: tensor + 0.25 for name, tensor in build(whole, 5, CPU).state_dict().items()}
    return lambda **more: replace(whole, initial=fitting(weights), **more)


def test_a_workload_begins_there_with_every_seed(begun: Callable[..., Any]) -> None:
    whole = begun()
    first, second = (build(whole, seed, CPU).state_dict() for seed in (0, 1))
    assert isinstance(whole.initial, Fitting)
    assert all(
        torch.equal(first[name], second[name]) and torch.equal(first[name], whole.initial[name]) for name in first
    )


def test_a_study_leaves_what_is_frozen_as_it_was_and_says_so(begun: Callable[..., Any], tmp_path: Path) -> None:
    names = [name for name, _ in build(begun(), 0, CPU).named_parameters()]
    whole = begun(freeze=names[0])
    result = thalweg.compare(
        whole, ["sgd", "adam"], [0.1], seeds=1, confirm_seeds=2, steps=8, progress=False, out=tmp_path
    )
    assert any("tensors of the model are trained ones." in note for note in result.study.notes)
    assert any("parameters are frozen." in note for note in result.study.notes)
    best = result.best
    assert best is not None
    model = best.train()  # by the plain loop
    parameters = dict(model.named_parameters())
    assert torch.equal(parameters[names[0]], whole.initial[names[0]])
    assert not torch.equal(parameters[names[-1]], whole.initial[names[-1]])
    with torch.no_grad():
        by_hand = float((model(X[:9]).argmax(1) == Y[:9]).double().mean())
    assert by_hand == pytest.approx(best.run.validation_metric, abs=1 / 9 + 1e-9)


def test_weights_of_another_model_are_refused_before_a_study(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights = build(workload(), 5, CPU).state_dict()
    save_file(weights, path)
    asked: dict[str, Any] = {"learning_rates": [0.1], "seeds": 1, "confirm_seeds": 1, "progress": False}
    with pytest.raises(thalweg.InputError, match="None of the weights fits a layer"):
        thalweg.compare("digits", ["sgd"], steps=2, initial=path, **asked)
    with pytest.raises(thalweg.InputError, match="initial must be the path of a file that exists"):
        thalweg.compare("digits", ["sgd"], steps=2, initial=tmp_path / "none", **asked)


def test_an_interrupted_study_goes_on_from_the_same_weights(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(build(workload(), 5, CPU).state_dict(), path)
    frozen = next(name for name, _ in build(workload(), 0, CPU).named_parameters())
    asked: dict[str, Any] = {"learning_rates": [0.1], "seeds": 2, "confirm_seeds": 2, "progress": False, "steps": 8}
    asked |= {"initial": path, "freeze": [frozen]}
    whole = thalweg.compare(workload(), ["sgd", "adam"], **asked)
    add, calls = Store.add, []

    def interrupting(*given: Any) -> Any:
        calls.append(given)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return add(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "add", interrupting)
        with pytest.raises(KeyboardInterrupt):
            thalweg.compare(workload(), ["sgd", "adam"], out=tmp_path, **asked)
    again = thalweg.resume(tmp_path, workload=workload(), progress=False)
    assert [r.validation_metric for r in again.runs] == [r.validation_metric for r in whole.runs]
    model = again.best.train()
    assert torch.equal(dict(model.named_parameters())[frozen], build(workload(), 5, CPU).state_dict()[frozen])
    save_file({n: t + 1 for n, t in build(workload(), 5, CPU).state_dict().items()}, path)
    with pytest.raises(thalweg.InputError, match=r"The model of the workload .* changed"):
        thalweg.stored(tmp_path).best.train(workload=workload())


def test_loading_twice_is_loading_once() -> None:
    model, weights = net(), fitting(trained())
    assert load_fitting(model, weights) == load_fitting(model, weights)
