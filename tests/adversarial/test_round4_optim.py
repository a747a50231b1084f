"""A fourth round against the drop-ins: scripts, wrappers, checkpoints and schedules. All end where torch does."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.checkpoint import state_dict as of_dcp
from torch.optim import lr_scheduler

import thalweg.optim
from adversarial.adversary import THEIRS, Run, gradient, parameters, same

each = pytest.mark.parametrize("name", sorted(THEIRS))
few = pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam"])
OURS = thalweg.optim


def close(ours, theirs, rtol=1e-9, atol=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol, equal_nan=True)


def handed_over(module, name, saved_by, options, *, into=None):
    """Where a step ends that follows a checkpoint of torch's `saved_by`, loaded into `name`."""
    before = Run(getattr(into or torch.optim, saved_by), lr=0.1, weight_decay=0.1, **options)
    before.step(2)
    after = Run(getattr(module, name), lr=0.1, weight_decay=0.1)
    after.optimizer.load_state_dict(copy.deepcopy(before.optimizer.state_dict()))
    after.steps = 2
    after.step()
    return after.values()


@pytest.mark.parametrize(("saved_by", "options"), [("Adam", {}), ("Adam", {"amsgrad": True}), ("RAdam", {})], ids=str)
def test_adamw_goes_on_from_adam_with_its_own_decay(saved_by, options):
    close(*(handed_over(module, "AdamW", saved_by, options) for module in (OURS, torch.optim)))


def test_adam_goes_on_from_adamw_as_torchs_does():
    close(*(handed_over(module, "Adam", "AdamW", {}) for module in (OURS, torch.optim)))


def test_adagrad_shares_its_memory():
    optimizer = OURS.Adagrad([torch.ones(3, requires_grad=True)])
    optimizer.share_memory()
    assert all(x.is_shared() for state in optimizer.state.values() for x in state.values())


@each
def test_all_public_methods_of_torchs_class_are_there(name):
    if name == "Adagrad":
        pytest.skip("its share_memory has a test of its own")
    public = {a for a in dir(getattr(torch.optim, name)) if not a.startswith("_")}
    assert public <= {*dir(getattr(OURS, name))}


def driven(run, key, steps=7):
    for i in range(steps):
        value = run.group[key]
        if isinstance(value, tuple):
            run.group[key] = tuple(v * 0.99 if v < 1 else v * 1.01 for v in value)
        else:
            run.group[key] = value * 0.9 + 0.01 if value else [0, 0.5, 0.0, 0.1, 0.2, 0, 0.4][i]
        run.step()


@each
def test_a_schedule_drives_any_hyperparameter(name):
    group = getattr(torch.optim, name)(parameters(), **THEIRS[name]).param_groups[0]
    for key in [k for k, v in group.items() if isinstance(v, float | tuple)]:
        same(name, lambda run, key=key: driven(run, key))


@each
def test_a_direction_that_turns_in_mid_run(name):
    def act(run):
        for maximize in (False, True, True, False, True):
            run.group["maximize"] = maximize
            run.step()

    same(name, act)


def authors(lr, schedule, steps=8, *, gamma=0.5, final=0.1):
    """AdaBound by its authors' package: the rate that bounds are relative to is that of the constructor."""
    p, m, v = torch.linspace(-1, 1, 5, dtype=torch.float64), torch.zeros(5), torch.zeros(5)
    for t in range(1, steps + 1):
        g, rate = gradient(p, t - 1), schedule[t - 1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        bound, size = final * rate / lr, rate * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
        lower, upper = bound * (1 - 1 / (gamma * t + 1)), bound * (1 + 1 / (gamma * t))
        p = p - (size / (v.sqrt() + 1e-8)).clamp(lower, upper) * m
    return p


SCHEDULES = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 6),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    "steps": lambda o: lr_scheduler.StepLR(o, 2),
    "warm-up": lambda o: lr_scheduler.LinearLR(o, 0.1, 1, 4),
    "cycle": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 1e-2, step_size_up=3, cycle_momentum=False),
    "function": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (epoch + 1)),
}


def one_cycle(optimizer):
    return lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=10, cycle_momentum=False)


@pytest.mark.parametrize(
    "make",
    [
        *SCHEDULES.values(),
        one_cycle,
    ],
    ids=[*SCHEDULES, "one cycle"],
)
def test_adabound_under_a_schedule_is_its_authors(make):
    p = torch.linspace(-1, 1, 5, dtype=torch.float64).requires_grad_()
    optimizer = OURS.AdaBound([p], lr=1e-2, gamma=0.5)
    schedule, rates = make(optimizer), []
    for step in range(8):
        p.grad = gradient(p, step)
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    close(p.detach(), authors(1e-2, rates))


@pytest.mark.parametrize("name", ["Adam", "Lion", "Yogi", "AdaBound"])
@pytest.mark.parametrize("kind", ["cosine", "restarts", "cycle", "function"])
def test_a_rate_set_by_hand_is_where_a_later_schedule_begins(name, kind):
    found = []
    for cls in (getattr(OURS, name), torch.optim.Adam):
        run = Run(cls, lr=1e-2)
        run.group["lr"] = 1e-3
        schedule, rates = SCHEDULES[kind](run.optimizer), []
        for _ in range(8):
            rates.append(run.group["lr"])
            run.step()
            schedule.step()
        found.append(rates)
    assert found[0] == pytest.approx(found[1])


class Sharp(torch.optim.Optimizer):
    """Sharpness-aware minimization as everybody copies it, around another optimizer."""

    def __init__(self, params, base, **options):
        super().__init__(params, {"radius": 0.05, **options})
        self.base = base(self.param_groups, **options)
        self.param_groups = self.base.param_groups
        self.defaults.update(self.base.defaults)

    @torch.no_grad()
    def climb(self):
        for p in (p for group in self.param_groups for p in group["params"]):
            self.state[p]["old_p"] = p.data.clone()
            p.add_(p.grad, alpha=0.05)

    @torch.no_grad()
    def step(self, closure=None):
        for p in (p for group in self.param_groups for p in group["params"]):
            p.data = self.state[p]["old_p"]
        self.base.step()


@few
def test_within_sharpness_aware_minimization(name):
    ends = []
    for module in (OURS, torch.optim):
        params = parameters()
        optimizer = Sharp(params, getattr(module, name), lr=0.1)
        for step in range(6):
            for act, at in ((optimizer.climb, step), (optimizer.step, step + 0.5)):
                for p in params:
                    p.grad = gradient(p, at)
                act()
        ends.append([p.detach() for p in params])
    close(*ends)


@few
def test_wrapped_as_horovod_does(name):
    ends = []
    for module in (OURS, torch.optim):
        inner = getattr(module, name)(parameters(), lr=0.1)

        def init(self, groups):
            super(self.__class__, self).__init__(groups)

        def step(self, closure=None):
            return super(self.__class__, self).step(closure)

        outer = type(name, (type(inner),), {"__init__": init, "step": step})(inner.param_groups)
        params = outer.param_groups[0]["params"]
        for at in range(4):
            for p in params:
                p.grad = gradient(p, at)
            outer.step()
        ends.append([p.detach() for p in params])
    close(*ends)


@each
def test_adapters_are_merged_reset_and_the_base_is_unfrozen(name):
    ends = []
    for module in (OURS, torch.optim):
        torch.manual_seed(0)
        base, a, b = nn.Linear(8, 8).double(), torch.randn(2, 8).double(), torch.zeros(8, 2).double()
        a, b, x = nn.Parameter(a), nn.Parameter(b), torch.randn(4, 8).double()
        base.requires_grad_(False)
        optimizer = getattr(module, name)([{"params": [a], "lr": 0.01}, {"params": [b], "lr": 0.16}], lr=0.1)
        for step in range(9):
            optimizer.zero_grad()
            (base(x) + x @ a.T @ b.T).pow(2).mean().backward()
            optimizer.step()
            if step % 3 == 2:
                with torch.no_grad():
                    base.weight += b @ a
                    a.copy_(torch.sin(torch.arange(16.0)).view(2, 8) + step)
                    b.zero_()
                optimizer.state[a], optimizer.state[b] = {}, {}
            if step == 4:
                base.requires_grad_(True)
                optimizer.add_param_group({"params": base.parameters(), "lr": 0.001})
        ends.append([p.detach() for p in (a, b, *base.parameters())])
    close(*ends, rtol=1e-7, atol=1e-8)


@each
def test_moments_are_pruned_and_counts_set_back(name):
    def act(run):
        for step in range(9):
            run.step()
            for state in run.optimizer.state.values():
                for key, value in state.items():
                    if key != "step" and value.ndim and step % 3 == 1:
                        state[key] = value * (value.abs() > value.abs().median())
                if "step" in state and step == 5:
                    state["step"].zero_()

    same(name, act)


def test_numpy_is_told_to_raise_at_underflow():
    with np.errstate(all="raise"):
        for name in THEIRS:
            run = Run(getattr(OURS, name), **THEIRS[name])
            run.step(3)
            for state in run.optimizer.state.values():
                if "step" in state:
                    state["step"].fill_(1e6)
            run.step(3)


MODIFIED = [
    ("AdamW", {"state_dtype": "8bit"}), ("AdamW", {"lookahead_steps": 2, "ema_decay": 0.9}), ("Lion", {}),
    ("SGD", {"lookahead_steps": 2, "lr": 0.01}), ("AdaBound", {}), ("AdamWScheduleFree", {}), ("NosAdam", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), MODIFIED, ids=str)
def test_a_distributed_checkpoint_flattened(name, options):
    how, runs = of_dcp.StateDictOptions(flatten_optimizer_state_dict=True), []
    x = torch.sin(torch.arange(180.0)).view(6, 30)
    for seed in range(2):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(30, 400), nn.BatchNorm1d(400), nn.Linear(400, 2))
        groups = [{"params": [*model[0].parameters()]}, {"params": [*model[1:].parameters()]}]
        runs.append((model, getattr(OURS, name)(groups, **options)))

    def train(model, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            model(x).pow(2).sum().backward()
            optimizer.step()

    train(*runs[0])
    of_model, of_optimizer = copy.deepcopy(of_dcp.get_state_dict(*runs[0], options=how))
    of_dcp.set_state_dict(*runs[1], model_state_dict=of_model, optim_state_dict=of_optimizer, options=how)
    for run in runs:
        train(*run)
    close(*([*model.parameters()] for model, _ in runs), rtol=0, atol=0)
