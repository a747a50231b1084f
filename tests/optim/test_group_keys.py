"""Keys of param groups: one's own are taken, near misses are told, other libraries' names are refused."""

import warnings

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler, swa_utils

import thalweg.optim
from thalweg.errors import InputError
from thalweg.optim import OptimizerWarning, UnknownGroupKey
from thalweg.optim.classes import drop_ins
from thalweg.optim.stepping import diagnostics

every_class = pytest.mark.parametrize("cls", drop_ins().values(), ids=drop_ins())

OWN = (
    "name", "lr_scale", "lr_mult", "decay_mult", "is_last_layer", "group_name", "layer_id", "init_lr", "final_lr",
    "base_weight_decay", "weight_decay_scale", "weight_decay_mult", "no_weight_decay", "weight_decay_filter",
    "max_momentum", "base_momentum", "max_lr", "min_lr", "initial_lr", "swa_lr", "param_group_names", "_lr_scaled",
    "steps",
)  # fmt: skip
LIKE_OTHERS = {
    "weight_decays": "weight_decay", "wight_decay": "weight_decay", "mask": "masked", "amsgrads": "amsgrad",
    "LR": "lr", "Weight_Decay": "weight_decay", "beta": "betas",
}  # fmt: skip
ELSEWHERE = {
    "learning_rate": "lr",
    "beta_1": "betas",
    "beta_2": "betas",
    "epsilon": "eps",
    "b1": "betas",
    "beta1": "betas",
}


def parameter():
    return nn.Parameter(torch.ones(3))


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch):
    monkeypatch.setattr(diagnostics, "_told", set())


@every_class
def test_keys_of_ones_own_are_taken_and_kept(cls):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnknownGroupKey)
        optimizer = cls([{"params": [parameter()], key: 1.0} for key in OWN if key != "initial_lr"])
        optimizer.add_param_group({"params": [parameter()], "lr_mult": 2.0})
    assert [group.get(key) for group, key in zip(optimizer.param_groups, OWN, strict=False)][:4] == [1.0] * 4
    assert optimizer.state_dict()["param_groups"][-1]["lr_mult"] == 2.0


@pytest.mark.parametrize("key", LIKE_OTHERS)
def test_a_near_miss_is_told_once_and_kept(key):
    groups = [{"params": [parameter()], key: 0.5} for _ in range(2)]
    with pytest.warns(UnknownGroupKey, match=rf"Adam, '{key}' in .*: .* did you mean '{LIKE_OTHERS[key]}'\?") as told:
        optimizer = thalweg.optim.Adam(groups)
    assert len(told) == 1
    assert issubclass(told[0].category, OptimizerWarning)
    assert told[0].filename == __file__
    assert optimizer.param_groups[0][key] == 0.5


def test_each_near_miss_is_told():
    with pytest.warns(UnknownGroupKey) as told:
        thalweg.optim.SGD(
            [{"params": [parameter()], "weight_decays": 1, "lrs": 1}, {"params": [parameter()], "lrs": 1}]
        )
    assert [str(one.message).partition(" in ")[0] for one in told] == ["SGD, 'weight_decays'", "SGD, 'lrs'"]


@pytest.mark.parametrize("key", ELSEWHERE)
def test_names_of_other_libraries_are_refused(key):
    with pytest.raises(
        InputError, match=rf"AdamW has no hyperparameter '{key}' in its groups; give '{ELSEWHERE[key]}'\."
    ):
        thalweg.optim.AdamW([{"params": [parameter()], key: 0.5}])
    optimizer = thalweg.optim.AdamW([parameter()])
    with pytest.raises(InputError, match=key):
        optimizer.add_param_group({"params": [parameter()], key: 0.5})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize(("name", "key", "ours"), [("RMSprop", "rho", "alpha"), ("RMSprop", "decay", "alpha")])
def test_names_of_other_libraries_by_optimizer(name, key, ours):
    with pytest.raises(InputError, match=f"{name} has no hyperparameter '{key}' in its groups; give '{ours}'"):
        getattr(thalweg.optim, name)([{"params": [parameter()], key: 0.5}])
    thalweg.optim.SGD([{"params": [parameter()], key: 0.5}])  # which has no such hyperparameter


@every_class
def test_arguments_of_the_constructor_stay_strict(cls):
    for key in ("lr_mult", "weight_decays", "learning_rate"):
        with pytest.raises(InputError, match=f"{cls.__name__} has no hyperparameter '{key}'"):
            cls([parameter()], **{key: 0.5})


def torchs(optimizer):
    """What torch's schedulers write into groups."""
    if "momentum" in optimizer.defaults or "betas" in optimizer.defaults:
        yield lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=10)
        yield lambda o: lr_scheduler.CyclicLR(o, 1e-3, 0.1)
    yield lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=10, cycle_momentum=False)
    yield lambda o: lr_scheduler.StepLR(o, 2)
    yield lambda o: swa_utils.SWALR(o, swa_lr=0.05)


@every_class
def test_made_anew_from_the_groups_of_one_under_a_schedule(cls):
    for schedule in torchs(cls([parameter()])):
        of = cls([{"params": [parameter()], "weight_decay": 0.1}, {"params": [parameter()], "lr": 0.02}])
        schedule(of)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnknownGroupKey)
            again = cls(of.param_groups)
            again.step()
        assert [group["lr"] for group in again.param_groups] == [group["lr"] for group in of.param_groups]
        assert again.param_groups[0]["weight_decay"] == 0.1


def test_groups_of_torchs_optimizer_make_one():
    for name in sorted({name for name in drop_ins() if hasattr(torch.optim, name)}):
        theirs = getattr(torch.optim, name)([nn.Parameter(torch.ones(2, 3))], lr=0.05)
        ours = getattr(thalweg.optim, name)(theirs.param_groups)
        assert ours.param_groups[0]["lr"] == 0.05
