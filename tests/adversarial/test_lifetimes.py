"""Optimizers that are copied and freed."""

import copy
import gc
import pickle
import sys
import weakref

import pytest
import torch

import thalweg.optim
from adversarial.adversary import THEIRS, Run, same
from scope import in_turns

every = pytest.mark.parametrize("name", THEIRS)
MODES = {
    "plain": {}, "capturable": {"capturable": True}, "fused": {"fused": True}, "averaged": {"ema_decay": 0.9},
    "lookahead": {"lookahead_steps": 2}, "cautious": {"cautious": True, "clip_tensor_norm": 0.3},
}  # fmt: skip
COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda run: pickle.loads(pickle.dumps(run)),
    "twice": lambda run: copy.deepcopy(copy.deepcopy(run)),
}


@pytest.mark.parametrize(("name", "mode"), in_turns(["SGD", "AdamW", "NAdam"], MODES))
@pytest.mark.parametrize("duplicate", COPIES)
def test_copies_in_mid_run(name, mode, duplicate):
    run = Run(getattr(thalweg.optim, name), **THEIRS[name], **MODES[mode])
    run.step(3)
    other = COPIES[duplicate](run)
    run.step(3)
    other.step(3)
    torch.testing.assert_close(run.values(), other.values(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam"])
def test_a_shallow_copy_shares_everything(name):
    def act(run):
        run.step(2)
        other = copy.copy(run.optimizer)
        for optimizer in (other, run.optimizer, other):
            run.fill()
            optimizer.step()

    same(name, act)


@every
def test_an_optimizer_is_freed_without_its_parameters(name):
    run = Run(getattr(thalweg.optim, name), **THEIRS[name])
    run.step(3)
    gone = [weakref.ref(run.optimizer)]
    states = [v for s in run.optimizer.state.values() for v in s.values() if torch.is_tensor(v)]
    gone += [weakref.ref(v) for v in states]
    del states
    run.optimizer = None
    gc.collect()
    assert not any(ref() is not None for ref in gone)


def test_no_cycles_keep_an_optimizer():
    run = Run(thalweg.optim.Adam, lr=0.1)
    run.step(3)
    gone = weakref.ref(run.optimizer)
    gc.disable()
    try:
        run.optimizer = None
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("what", ["parameters", "moments", "moments of another pattern"])
def test_memory_that_its_user_lets_go_is_freed(what):
    """As to shrink a model, or to load a checkpoint: torch's optimizers hold nothing that is not in them."""
    run = Run(thalweg.optim.Adam, lr=0.1)
    run.step(3)
    if what == "parameters":
        gone = weakref.ref(run.params[0])
        run.optimizer.state.pop(run.params[0])
        del run.group["params"][0]
        del run.params[0]
        run.step()  # what was prepared is prepared anew
    else:
        gone = weakref.ref(run.optimizer.state[run.params[0]]["exp_avg"])
        run.optimizer.load_state_dict(copy.deepcopy(run.optimizer.state_dict()))
        if what == "moments of another pattern":
            run.step(2, skip={1})
    gc.collect()
    assert gone() is None


def test_no_memory_is_lost_in_many_steps():
    run = Run(thalweg.optim.AdamW, lr=0.1, clip_global_norm=1.0)
    run.step(20)
    gc.collect()
    before = len(gc.get_objects()), sys.getallocatedblocks()
    for step in range(1000):
        run.group["lr"] = 0.1 / (step + 1)
        run.step()
    gc.collect()
    assert len(gc.get_objects()) - before[0] < 200
    assert sys.getallocatedblocks() - before[1] < 2000
