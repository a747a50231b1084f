"""Optimizers stepped from several threads and processes, and what is told of slow steps."""

import multiprocessing
import subprocess
import sys
import threading
import warnings

import pytest
import torch

import thalweg.optim
from adversarial.adversary import THEIRS, Run, gradient, parameters
from thalweg.optim.stepping import diagnostics


def at_once(functions):
    errors = []

    def call(function):
        try:
            function()
        except BaseException as error:  # for the test to see
            errors.append(error)

    workers = [threading.Thread(target=call, args=(function,)) for function in functions]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not any(worker.is_alive() for worker in workers)
    assert not errors


@pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam"])
@pytest.mark.parametrize("size", [100, 70_000])
def test_optimizers_of_their_own_stepped_from_several_threads(name, size):
    def make():
        return Run(getattr(thalweg.optim, name), parameters(torch.float32, [(size,), (3,)]), **THEIRS[name])

    runs, alone = [make() for _ in range(4)], make()
    alone.step(20)
    at_once([lambda run=run: run.step(20) for run in runs])
    for run in runs:
        torch.testing.assert_close(run.values(), alone.values(), rtol=0, atol=0)


def test_kernels_compiled_in_several_threads_at_once():
    """Combinations that nothing else compiles."""
    options = {"lr": 0.1, "centralize": True, "clip_value": 0.3, "masked": True, "lookahead_steps": 2, "cautious": True}
    runs = [Run(thalweg.optim.AdaMod, parameters(torch.float32), **options) for _ in range(3)]
    at_once([lambda run=run: run.step(3) for run in runs])
    for run in runs:
        torch.testing.assert_close(run.values(), runs[0].values(), rtol=0, atol=0)


def test_one_optimizer_stepped_from_two_threads_stays_in_memory():
    """A race, as with torch; but nothing out of bounds, and finite."""
    run = Run(thalweg.optim.Adam, parameters(torch.float32, [(5000,), (3,)]), lr=1e-3)
    run.step()
    at_once([lambda: [run.optimizer.step() for _ in range(100)] for _ in range(2)])
    assert all(bool(torch.isfinite(p).all()) for p in run.params)


def test_a_thread_that_changes_gradients_while_another_steps():
    run = Run(thalweg.optim.Adam, parameters(torch.float32, [(5000,), (3,)]), lr=1e-3)
    run.step()

    def change():
        for step in range(200):
            for p in run.params:
                p.grad = gradient(p, step)

    at_once([change, lambda: [run.optimizer.step() for _ in range(200)]])
    assert all(bool(torch.isfinite(p).all()) for p in run.params)


def in_a_child(run, connection):
    run.step(2)
    connection.send([p.detach().numpy().tolist() for p in run.params])


def test_a_spawned_child_goes_on_in_shared_memory():
    """As torch sends tensors to it."""
    run = Run(thalweg.optim.AdamW, parameters(torch.float32, [(100,)]), lr=0.1)
    run.step(2)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=in_a_child, args=(run, theirs), daemon=True)
    child.start()
    try:
        assert ours.poll(60), "the child hangs"
        found = ours.recv()
    finally:
        child.kill()
    torch.testing.assert_close([torch.tensor(p) for p in found], run.values(), rtol=0, atol=0)


FORKED = """
import os, torch, thalweg.optim
p = torch.zeros(1000).requires_grad_()
p.grad = torch.ones(1000)
optimizer = thalweg.optim.AdamW([p], lr=0.25, weight_decay=0.0)
optimizer.step()
child = os.fork()
optimizer.step()
print(round(p[999].item(), 4), flush=True)
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""


def test_a_forked_child_has_its_own_copy():
    """Of parameters that one thread steps; the threads of torch's library are not there in a forked child."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.count("-0.5") == 2


def told_of(monkeypatch, run, steps):
    """The kinds of warnings in so many steps; `steps` fills the gradients of each."""
    monkeypatch.setattr(diagnostics, "_told", set())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for fill in steps:
            fill()
            run.optimizer.step()
    return {w.category.__name__ for w in said}


def test_steps_prepared_anew_most_of_the_time_are_told(monkeypatch):
    """Three of four steps are slow, as no layout is that of the step before."""
    run = Run(thalweg.optim.Adam, parameters(torch.float32, [(4, 6, 5, 5)]), lr=0.1)
    kinds = [torch.contiguous_format, torch.channels_last, torch.contiguous_format, torch.contiguous_format]

    def fill(kind):
        def filled():
            run.fill()
            for p in run.params:
                p.grad = p.grad.contiguous(memory_format=kind)

        return filled

    assert "SlowStep" in told_of(monkeypatch, run, [fill(kinds[i % 4]) for i in range(100)])


def test_the_reason_told_of_a_slow_step_is_the_reason(monkeypatch):
    """A hook that keeps a number of its own in each state changes no gradient, and no memory that a step reads."""
    run = Run(thalweg.optim.Adam, parameters(torch.float32), lr=0.1)

    def fill():
        run.fill()
        for p in run.params:
            run.optimizer.state[p]["grad_norm"] = p.grad.norm()

    assert "SlowStep" not in told_of(monkeypatch, run, [fill] * 30)
