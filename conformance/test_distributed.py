"""Distributed checkpoints, and optimizers whose state is spread over processes."""

import socket
import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
import torch.multiprocessing
from distributed import STEPS, in_zero, model, train
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

import thalweg.optim
from optim.trained import fitted
from thalweg.optim.classes import drop_ins

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mind
every_class = pytest.mark.parametrize("cls", drop_ins().values(), ids=drop_ins())
flat = pytest.mark.parametrize("flat", [False, True])
CASES = {
    "AdamW": (thalweg.optim.AdamW, {"lr": 0.02, "cautious": True}),
    "NAdam": (thalweg.optim.NAdam, {"lr": 0.02}),
    "SGD": (thalweg.optim.SGD, {"lr": 0.02, "momentum": 0.9}),
    "Adagrad": (thalweg.optim.Adagrad, {"lr": 0.02, "lr_decay": 0.1}),
}


def groups(cls, of):
    """Two, with another rate each; four of a class that steps matrices."""
    return [{**g, "lr": lr} for layer, lr in ((of[0], 0.02), (of[2], 0.01)) for g in fitted(cls, [*layer.parameters()])]


@every_class
@flat
def test_state_dicts_by_name_resume(cls, flat):
    """The getter makes the state that is missing by a step of its own, which must change nothing."""
    options = StateDictOptions(flatten_optimizer_state_dict=flat)
    whole, parts = model(), model()
    end = train(whole, cls(groups(cls, whole)))
    optimizer = cls(groups(cls, parts))
    train(parts, optimizer, steps=3)
    saved = get_optimizer_state_dict(parts, optimizer, options=options)
    resumed = cls(groups(cls, parts))
    set_optimizer_state_dict(parts, resumed, saved, options=options)
    assert all(map(torch.equal, train(parts, resumed, first=3, steps=STEPS - 3), end))


@every_class
def test_asking_for_the_state_of_a_fresh_optimizer_moves_nothing(cls):
    of, twin = model(), model()
    optimizer = cls(fitted(cls, [*of.parameters()]), weight_decay=0.1)
    for _ in range(2):
        get_optimizer_state_dict(of, optimizer)
        assert all(map(torch.equal, of.parameters(), twin.parameters()))


@pytest.mark.parametrize("name", ["AdamW", "SGD", "Adagrad", "RMSprop"])
def test_state_dicts_of_torch_are_taken_over(name):
    end = None
    for first, second in ((torch.optim, torch.optim), (torch.optim, thalweg.optim), (thalweg.optim, torch.optim)):
        of = model()
        optimizer = getattr(first, name)(of.parameters(), lr=0.02)
        train(of, optimizer, steps=3)
        saved = get_optimizer_state_dict(of, optimizer)
        resumed = getattr(second, name)(of.parameters(), lr=0.02)
        set_optimizer_state_dict(of, resumed, saved)
        own = train(of, resumed, first=3, steps=STEPS - 3)
        end = end or own
        torch.testing.assert_close(own, end, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cls", [thalweg.optim.AdamW, thalweg.optim.NAdam], ids=lambda cls: cls.__name__)
def test_a_checkpoint_on_disk(cls, tmp_path):
    whole, parts = model(), model()
    end = train(whole, cls(whole.parameters()))
    optimizer = cls(parts.parameters())
    train(parts, optimizer, steps=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save({"optimizer": get_optimizer_state_dict(parts, optimizer)}, checkpoint_id=tmp_path / "saved")
        resumed = cls(parts.parameters())
        into = {"optimizer": get_optimizer_state_dict(parts, resumed)}
        dcp.load(into, checkpoint_id=tmp_path / "saved")
    set_optimizer_state_dict(parts, resumed, into["optimizer"])
    assert all(map(torch.equal, train(parts, resumed, first=3, steps=STEPS - 3), end))


def test_zero_redundancy(tmp_path):
    """Two processes, each with the state of half of the parameters, take the steps of one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(in_zero, args=(port, CASES, tmp_path), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name, (cls, options) in CASES.items():
        of = model()
        expected = train(of, cls(of.parameters(), **options))
        for end in (first[name], second[name]):
            torch.testing.assert_close(end, expected, rtol=1e-13, atol=1e-13)
        state = first[f"{name} state"]
        assert len(state["state"]) == 4
        of = model()
        optimizer = cls(of.parameters(), **options)
        train(of, optimizer, steps=3)
        optimizer.load_state_dict(state)
        torch.testing.assert_close(train(of, optimizer, first=3, steps=STEPS - 3), expected, rtol=1e-13, atol=1e-13)
