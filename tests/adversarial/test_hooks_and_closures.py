"""Hooks and closures that meddle with what is being stepped, or fail: as with torch."""

import contextlib
import copy
import warnings

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import thalweg.optim
from adversarial.adversary import THEIRS, Run, gradient, parameters, same
from thalweg.optim.stepping import diagnostics

few = pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam"])


class Stopped(BaseException):
    """As `KeyboardInterrupt`: no `Exception`."""


@few
def test_a_closure_that_changes_parameters_groups_and_state(name):
    def act(run):
        def closure():
            run.fill()
            with torch.no_grad():
                run.params[0].mul_(0.5)
            run.group["lr"] *= 0.9
            run.optimizer.state.pop(run.params[1], None)
            return "what a closure returns"

        return [run.optimizer.step(closure) for _ in range(4)]

    same(name, act)


@few
def test_a_closure_that_adds_a_group(name):
    def act(run):
        def closure():
            if run.steps == 2:
                new = parameters(shapes=[(3, 2)])
                run.params += new
                run.optimizer.add_param_group({"params": new})
            run.fill()
            return 0.0

        for _ in range(5):
            run.optimizer.step(closure)

    same(name, act)


@few
def test_a_closure_that_steps_the_optimizer_itself(name):
    def act(run):
        for _ in range(3):
            run.fill()
            run.optimizer.step(lambda: run.optimizer.step())

    same(name, act)


@few
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Stopped])
def test_a_closure_that_fails_leaves_all_as_it_was(name, error):
    def act(run):
        run.step(2)

        def closure():
            raise error

        before = run.values()
        with pytest.raises(error):
            run.optimizer.step(closure)
        torch.testing.assert_close(run.values(), before, rtol=0, atol=0)
        run.step(2)

    same(name, act)


@few
@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("error", [ValueError, Stopped])
def test_a_hook_that_fails_now_and_then(name, when, error):
    def act(run):
        calls = []

        def hook(*_):
            calls.append(len(calls))
            if len(calls) == 3:
                raise error

        getattr(run.optimizer, f"register_step_{when}_hook")(hook)
        failed = 0
        for _ in range(6):
            try:
                run.step()
            except error:
                failed += 1
        return failed, calls

    same(name, act)


@few
def test_a_hook_that_clips_and_replaces_gradients(name):
    def act(run):
        def hook(optimizer, *_):
            torch.nn.utils.clip_grad_norm_(run.params, 0.5)
            run.params[1].grad = run.params[1].grad.clone() * 2
            run.params[2].grad = None

        run.optimizer.register_step_pre_hook(hook)
        run.step(4)

    same(name, act)


@few
def test_a_hook_that_loads_a_state_dict(name):
    def act(run):
        run.step(2)
        saved = copy.deepcopy(run.optimizer.state_dict())
        run.optimizer.register_step_pre_hook(lambda o, *_: o.load_state_dict(copy.deepcopy(saved)))
        run.step(3)

    same(name, act, rtol=1e-7)  # after loading, torch holds NAdam's product in another dtype


@few
def test_a_hook_behind_the_step_that_adds_a_group_and_a_rate(name):
    def act(run):
        def hook(optimizer, *_):
            if len(optimizer.param_groups) < 3:
                new = parameters(shapes=[(len(optimizer.param_groups), 2)])
                run.params += new
                optimizer.add_param_group({"params": new, "lr": 0.01})
            for group in optimizer.param_groups:
                group["lr"] *= 0.9

        run.optimizer.register_step_post_hook(hook)
        run.step(5)

    same(name, act)


@few
def test_hooks_for_all_optimizers(name):
    def act(run):
        seen = []
        handles = [
            register_optimizer_step_pre_hook(lambda o, a, k: seen.append(("pre", len(a), k))),
            register_optimizer_step_post_hook(lambda o, a, k: seen.append(("post", len(a), k))),
        ]
        try:
            run.step(2)
        finally:
            for handle in handles:
                handle.remove()
        run.step(2)
        return seen

    same(name, act)


@few
def test_hooks_behind_gradients_step_each_parameter_in_the_backward_pass(name):
    """As to free each gradient early: one optimizer for each parameter."""

    def act(run):
        optimizers = {p: type(run.optimizer)([p], **THEIRS[name]) for p in run.params}

        def step(p):
            optimizers[p].step()
            p.grad = None

        for p in run.params:
            p.register_post_accumulate_grad_hook(step)
        for _ in range(4):
            sum((p * p).sum() * (i + 1) for i, p in enumerate(run.params)).backward()

    same(name, act)


@few
def test_hooks_of_state_dicts_that_change_what_is_saved(name):
    def act(run):
        def halve(optimizer, saved):
            for state in saved["state"].values():
                state.update({k: v / 2 for k, v in state.items() if torch.is_tensor(v) and v.dim()})
            return saved

        run.optimizer.register_state_dict_post_hook(halve)
        run.step(3)
        run.optimizer.load_state_dict(copy.deepcopy(run.optimizer.state_dict()))
        run.step(2)

    same(name, act, make=lambda: parameters(shapes=[(3, 2), (4,)]), rtol=1e-7)


class Counting(thalweg.optim.AdamW):
    """A subclass with arguments and a step of its own."""

    def __init__(self, params, lr=0.1, *, clip, **options):
        super().__init__(params, lr=lr, **options)
        self.clip, self.taken = clip, 0

    def step(self, closure=None, *, scale=1.0):
        for p in (p for group in self.param_groups for p in group["params"] if p.grad is not None):
            p.grad.mul_(scale).clamp_(-self.clip, self.clip)
        self.taken += 1
        return super().step(closure)


def test_a_subclass_with_its_own_step_and_arguments():
    run, other = Run(Counting, clip=0.5), Run(torch.optim.AdamW, lr=0.1)
    seen = []
    run.optimizer.register_step_post_hook(lambda *_: seen.append(1))
    for _ in range(4):
        run.fill()
        other.fill()
        run.optimizer.step(scale=0.7)
        for p in other.params:
            p.grad.mul_(0.7).clamp_(-0.5, 0.5)
        other.optimizer.step()
    torch.testing.assert_close(run.values(), other.values(), rtol=1e-11, atol=1e-12)
    assert (run.optimizer.taken, len(seen)) == (4, 4)


def test_a_subclass_that_steps_twice():
    class Twice(thalweg.optim.Adam):
        def step(self, closure=None):
            super().step()
            return super().step(closure)

    run, other = Run(Twice, lr=0.1), Run(torch.optim.Adam, lr=0.1)
    run.step(3)
    for _ in range(3):
        other.step()
        other.optimizer.step()
    torch.testing.assert_close(run.values(), other.values(), rtol=1e-11, atol=1e-12)


@few
def test_a_warning_told_as_an_error_leaves_no_half_step(name, monkeypatch):
    """Whoever turns warnings into errors and goes on has taken whole steps: all groups, or none."""
    monkeypatch.setattr(diagnostics, "_told", set())

    def act(run):
        new = parameters(shapes=[(6,)])
        run.params += new
        run.optimizer.add_param_group({"params": new})
        run.params[1].data = torch.zeros(8, dtype=torch.float64)[::2].copy_(run.params[1].data)  # with gaps: slow
        for _ in range(4):
            run.fill()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with contextlib.suppress(UserWarning):  # and goes on
                    run.optimizer.step()

    same(name, act)


def test_gradients_of_a_hook_on_a_tensor_are_what_is_stepped():
    def act(run):
        for p in run.params:
            p.register_hook(lambda g: g * 0.5)
        for _ in range(3):
            run.optimizer.zero_grad()
            sum((p * gradient(p, run.steps)).sum() for p in run.params).backward()
            run.optimizer.step()
            run.steps += 1

    same("Adam", act)
