"""A third round against the drop-ins: states, checkpoints, groups and numbers. All end where torch does."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

import thalweg.optim
from adversarial.adversary import gradient, parameters, same
from thalweg.errors import InputError

LOADED = {"rtol": 1e-7, "atol": 1e-9}  # torch goes on with NAdam's product in the parameter's dtype, we in its own
few = pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam"])


def two():
    return parameters(shapes=[(6,), (6,)])


def reordered(saved):
    saved["param_groups"][0]["params"] = [1, 0]


def keys_of_text(saved):
    saved["state"] = {str(key): value for key, value in saved["state"].items()}
    saved["param_groups"][0]["params"] = ["0", "1"]


def keys_of_others(saved):
    saved["state"] = {str(key): value for key, value in saved["state"].items()}


def more_keys(saved):
    saved |= {"more": 1}
    saved["param_groups"][0]["more"] = 2
    saved["state"][0]["more"] = "text"
    saved["state"]["others"] = {"more": 3}


def a_step_between(saved):
    saved["state"][0]["step"] = torch.tensor(2.5)


def a_step_of_zero(saved):
    saved["state"][0]["step"] = torch.tensor(0.0)


def a_whole_step(saved):
    saved["state"][0]["step"] = torch.tensor(2)


def a_step_with_a_dimension(saved):
    saved["state"][0]["step"] = torch.tensor([2.0])


def a_step_that_is_no_number(saved):
    saved["state"][0]["step"] = torch.tensor(float("nan"))


def moments_in_half_precision(saved):
    saved["state"][0]["exp_avg"] = saved["state"][0]["exp_avg"].half()


def whole_moments(saved):
    saved["state"][0]["exp_avg"] = torch.ones(6, dtype=torch.long)


def moments_below_zero(saved):
    saved["state"][0]["exp_avg_sq"].neg_()


def parameters_for_moments(saved):
    saved["state"][0]["exp_avg"] = nn.Parameter(saved["state"][0]["exp_avg"])


def other_containers(saved):
    saved["state"] = OrderedDict(saved["state"])
    saved["param_groups"] = tuple(OrderedDict(group) for group in saved["param_groups"])


def one_without_state(saved):
    saved["state"][0] = {}


CHANGES = [
    reordered, keys_of_text, keys_of_others, more_keys, a_step_between, a_step_of_zero, a_whole_step,
    a_step_with_a_dimension, a_step_that_is_no_number, moments_in_half_precision, whole_moments, moments_below_zero,
    parameters_for_moments, other_containers, one_without_state,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_checkpoint_with(change):
    def act(run):
        run.step(2)
        saved = copy.deepcopy(run.optimizer.state_dict())
        change(saved)
        run.optimizer = type(run.optimizer)(run.params, lr=0.3)
        run.optimizer.load_state_dict(saved)
        if change is a_step_of_zero:
            run.optimizer.state[run.params[0]]["exp_avg"].zero_()
        run.step(2)

    same("Adam", act, make=two, amsgrad=False)


@few
def test_a_file_that_is_mapped_into_memory(name, tmp_path):
    def act(run):
        run.step(2)
        path = tmp_path / type(run.optimizer).__module__
        torch.save(run.optimizer.state_dict(), path)
        run.optimizer.load_state_dict(torch.load(path, mmap=True, weights_only=True))
        run.step(2)

    same(name, act, **LOADED)


@few
def test_groups_without_parameters_and_none_at_all(name):
    def act(run):
        run.optimizer.param_groups.insert(0, {**run.group, "params": []})
        run.step(2)
        run.optimizer.load_state_dict(run.optimizer.state_dict())
        run.optimizer.param_groups.reverse()
        run.step()
        groups, run.optimizer.param_groups = run.optimizer.param_groups, []
        run.step()
        run.optimizer.param_groups = groups
        run.step()

    same(name, act, **LOADED)


@few
def test_a_parameter_replaced_in_its_place_with_and_without_its_state(name):
    def act(run):
        run.step(2)
        for i in (0, 1):
            old = run.params[i]
            run.params[i] = run.group["params"][i] = (old.detach() * 0.9).requires_grad_()
            if i and old in run.optimizer.state:
                run.optimizer.state[run.params[i]] = run.optimizer.state.pop(old)
        run.step(3)

    same(name, act)


@few
def test_additions_that_are_refused_one_after_the_other(name):
    def act(run):
        new = two()
        for wrong in ({"params": {*new}}, {"params": [new[0], "x"]}, {"params": run.params[:1]}, {"lr": 0.1}):
            with pytest.raises((TypeError, ValueError, KeyError)):
                run.optimizer.add_param_group(wrong)
        run.optimizer.add_param_group({"params": (p for p in new), "lr": 0.5})
        run.params += new
        run.step(3)
        return len(run.optimizer.param_groups)

    same(name, act)


@few
def test_a_subclass_that_changes_every_method(name):
    def act(run):
        class Own(type(run.optimizer)):
            def __init__(self, params, lr=0.1, share=3):
                self.share = share
                super().__init__(params, lr=lr)

            def add_param_group(self, group):
                super().add_param_group({**group, "share": self.share})

            def step(self, closure=None):
                for group in self.param_groups:
                    group["lr"] = 0.01 * group["share"]
                return super().step(closure)

            def state_dict(self):
                return {**super().state_dict(), "share": self.share}

            def load_state_dict(self, saved):
                self.share = saved["share"]
                super().load_state_dict({key: saved[key] for key in ("state", "param_groups")})

        run.optimizer = Own(run.params)
        run.step(2)
        saved = copy.deepcopy(run.optimizer.state_dict())
        run.optimizer = Own(run.params, share=9)
        run.optimizer.load_state_dict(saved)
        run.step(2)
        return run.optimizer.share

    same(name, act, **LOADED)


class Falling:
    """A schedule with a state of its own."""

    def __init__(self):
        self.calls = 0

    def __call__(self, _):
        self.calls += 1
        return 1 / (1 + self.calls)


@few
def test_a_schedule_with_a_state_of_its_own_goes_on(name):
    def act(run):
        schedule = lr_scheduler.LambdaLR(run.optimizer, Falling())
        for _ in range(3):
            run.step()
            schedule.step()
        saved = copy.deepcopy((run.optimizer.state_dict(), schedule.state_dict()))
        run.optimizer = type(run.optimizer)(run.params, lr=0.7)
        schedule = lr_scheduler.LambdaLR(run.optimizer, Falling())
        run.optimizer.load_state_dict(saved[0])
        schedule.load_state_dict(saved[1])
        for _ in range(3):
            run.step()
            schedule.step()
        return run.group["lr"]

    same(name, act, **LOADED)


def test_schedules_one_behind_the_other_and_within_each_other():
    def act(run):
        of = run.optimizer
        parts = [lr_scheduler.LinearLR(of, 0.1, total_iters=3), lr_scheduler.CosineAnnealingLR(of, 5)]
        parts += [lr_scheduler.CyclicLR(of, 0.01, 0.2, step_size_up=2)]
        both = [lr_scheduler.SequentialLR(of, parts, [3, 6]), lr_scheduler.ExponentialLR(of, 0.9)]
        schedule = lr_scheduler.ChainedScheduler(both, optimizer=of)
        for _ in range(12):
            run.step()
            schedule.step()
        return run.group["lr"]

    same("SGD", act)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam", {"eps": 0.0}), ("Adam", {"betas": (0.0, 0.0)}), ("Adam", {"lr": 1e308}), ("Adadelta", {"rho": 1.0}),
        ("Adadelta", {"rho": 0.0}), ("ASGD", {"t0": 0.0}), ("ASGD", {"lr": 1e3}), ("Adagrad", {"lr_decay": 1e3}),
        ("NAdam", {"momentum_decay": 0.0}), ("RAdam", {"betas": (0.9, 0.0)}), ("Adamax", {"betas": (0.9, 0.0)}),
        ("Rprop", {"lr": 100.0}), ("Rprop", {"etas": [0.5, 1.3], "step_sizes": [1e-3, 2.0]}),
        ("SGD", {"weight_decay": 1e30}), ("Adagrad", {"eps": 0.0}),
    ],
)  # fmt: skip
def test_numbers_at_the_ends_of_their_ranges(name, options):
    def act(run):
        for _ in range(20):
            run.fill()
            for p in run.params:
                p.grad.view(-1)[::3] = 0
            run.optimizer.step()

    same(name, act, rtol=1e-9, **options)


@pytest.mark.parametrize("fused", [False, True])
def test_an_overflow_and_clipping_under_a_scaler(fused):
    ends = []
    for module in (thalweg.optim, torch.optim):
        params = parameters(torch.float32, [(6,), (6,)])
        optimizer = module.Adam(params, lr=0.1, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=2)
        for step in range(6):
            optimizer.zero_grad()
            size = float("inf") if step == 2 else 1.0
            scaler.scale(size * sum((p * gradient(p, step)).sum() for p in params)).backward()
            if step % 2:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(params, 0.5)
            scaler.step(optimizer)
            scaler.update()
        ends.append(([p.detach() for p in params], scaler.get_scale()))
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)


@few
@pytest.mark.parametrize("kind", [torch.long, torch.bool])
def test_parameters_of_no_real_numbers_are_refused_in_a_sentence(name, kind):
    p = torch.ones(3).to(kind)
    p.grad = torch.ones(3).to(kind)
    with pytest.raises(InputError, match="cannot step parameter"):
        getattr(thalweg.optim, name)([p], lr=0.1).step()
