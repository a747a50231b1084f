"""The classes behave as torch's: signature, groups, closures, copies, schedulers; and refuse in sentences."""

import copy
import inspect
import pickle

import pytest
import torch
from torch.optim import lr_scheduler
from torch.optim.optimizer import register_optimizer_step_post_hook

import thalweg.optim
from optim.trained import PAIRS, fitted, parameters, task, train, values_of
from thalweg.errors import InputError
from thalweg.numerics import sign
from thalweg.optim.classes import drop_in, drop_ins
from thalweg.recipes.catalogue import recipe
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Decay, Rate
from thalweg.rules.states import Zeros

every_class = pytest.mark.parametrize("cls", drop_ins().values(), ids=list(drop_ins()))
every_pair = pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=list(PAIRS))


def half_run(cls, **setting):
    """Parameters and optimizer in mid-run, and what is still to come."""
    given = task(cls, steps=20)
    parts = parameters(given.start)
    optimizer = cls(fitted(cls, parts), weight_decay=0.03, **setting)
    train(optimizer, parts, given.gradients[:9], given.rates[:9])
    return parts, optimizer, given.gradients[9:], given.rates[9:]


def trained_parts(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]


@every_pair
def test_positional_arguments_and_defaults_are_torchs(ours, theirs):
    mine, expected = (inspect.signature(cls).parameters for cls in (ours, theirs))
    both = ([p.name for p in of.values() if p.kind is p.POSITIONAL_OR_KEYWORD] for of in (mine, expected))
    assert next(both) == next(both)
    assert set(expected) <= set(mine)
    for name in set(expected) - {"params"}:
        assert mine[name].default == expected[name].default, name


@every_class
def test_signature_is_what_the_constructor_takes(cls):
    parameters = list(inspect.signature(cls).parameters.values())[1:]
    values = [p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    optimizer = cls([torch.zeros(1)], *values)
    assert {**optimizer.param_groups[0], **optimizer.defaults}.items() >= {
        p.name: p.default for p in parameters
    }.items()
    with pytest.raises(InputError, match=f"^{cls.__name__}: too many positional arguments"):
        cls([torch.zeros(1)], *values, 1.0)


@every_pair
def test_all_positional_defaults_of_torch_are_taken(ours, theirs):
    expected = [p for p in inspect.signature(theirs).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
    optimizers = [cls([torch.zeros(1)], *(p.default for p in expected)) for cls in (ours, theirs)]
    assert len({str([o.defaults[p.name] for p in expected]).replace(".0,", ",") for o in optimizers}) == 1


def test_positional_values_arrive_by_name():
    asked = thalweg.optim.RMSprop([torch.zeros(1)], 0.01, 0.99, 1e-8, 0, 0, False, True, False, True, False).defaults
    assert [asked[name] for name in ("capturable", "foreach", "maximize", "differentiable")] == [
        True,
        False,
        True,
        False,
    ]
    optimizer = thalweg.optim.Adam([torch.zeros(1)], 0.1, (0.5, 0.6), 1e-3, 0.2, True)
    expected = {"lr": 0.1, "betas": (0.5, 0.6), "eps": 1e-3, "weight_decay": 0.2, "amsgrad": True}
    assert {name: optimizer.defaults[name] for name in expected} == expected


@every_class
def test_classes_are_found_and_pickled_by_name(cls):
    assert pickle.loads(pickle.dumps(cls)) is cls is getattr(thalweg.optim, cls.__name__)
    assert cls.__module__ == "thalweg.optim"
    assert "Paper: " in cls.__doc__
    assert issubclass(cls, torch.optim.Optimizer)


@rule(paper="none: written for a test", rates=(1e-3, 1.0))
def sign_momentum(g, p, buffer: Zeros, t, *, lr: Rate = 0.5, beta1: Decay = 0.5):
    """Follows the sign."""
    buffer = beta1 * buffer + (1 - beta1) * g
    return lr * sign(buffer), buffer


SignMomentum = drop_in(sign_momentum)


def test_a_rule_of_ones_own():
    p = torch.zeros(2, requires_grad=True)
    optimizer = SignMomentum([p], lr=0.25, weight_decay=0.0)
    p.grad = torch.tensor([3.0, -2.0])
    optimizer.step()
    assert p.tolist() == [-0.25, 0.25]
    assert pickle.loads(pickle.dumps(SignMomentum)) is SignMomentum
    twin = copy.deepcopy(optimizer)
    assert type(twin) is SignMomentum
    assert optimizer.state[p]["buffer"].tolist() == [1.5, -1.0]
    assert "SignMomentum" not in drop_ins()
    with pytest.raises(InputError, match=r"The 'beta1' of SignMomentum must be a number in \[0, 1\), got 1"):
        SignMomentum([p], beta1=1)


def test_a_preset_without_a_class():
    with pytest.raises(InputError, match="The preset 'nesterov' has no class of its own; use its rule 'sgd'"):
        drop_in(recipe("nesterov"))


def test_a_class_that_does_not_exist():
    with pytest.raises(AttributeError, match=r"has no attribute 'Adamm'; it has [A-Z]\w+, "):
        _ = thalweg.optim.Adamm


@every_class
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
def test_copies_go_on_bitwise(cls, duplicate):
    parts, optimizer, gradients, rates = half_run(cls)
    twin = duplicate(optimizer)
    copies = trained_parts(twin)
    assert all(a is not b for a, b in zip(parts, copies, strict=True))
    first = train(twin, copies, gradients, rates)
    assert torch.equal(first, train(optimizer, parts, gradients, rates))


@every_pair
def test_a_parameter_without_gradient_waits(ours, theirs):
    given = task(ours, steps=6)
    ends = []
    for cls in (ours, theirs):
        early, late = parameters(given.start)
        optimizer = cls([early, late], **({"momentum": 0.9, "dampening": 0.5} if cls.__name__ == "SGD" else {}))
        for i in range(6):
            early.grad = torch.full_like(early, 0.1 + i)
            late.grad = torch.full_like(late, 0.1 + i) if i > 2 else None
            optimizer.step()
        ends.append(values_of((early, late)))
        steps = [state["step"].item() for state in optimizer.state.values() if "step" in state]
        assert steps in ([6, 3], [])
    torch.testing.assert_close(*ends, rtol=1e-13, atol=0)


@every_pair
def test_groups_added_later(ours, theirs):
    given = task(ours, steps=6)
    ends = []
    for cls in (ours, theirs):
        parts = parameters(given.start)
        optimizer = cls(parts[:1])
        for i in range(6):
            if i == 3:
                optimizer.add_param_group({"params": parts[1:], "weight_decay": 0.1, "lr": 0.01})
            for p in parts:
                p.grad = torch.full_like(p, 0.1 + i)
            optimizer.step()
        ends.append(values_of(parts))
    torch.testing.assert_close(*ends, rtol=1e-13, atol=0)


def test_groups_may_carry_what_their_user_likes():
    p = torch.zeros(1, requires_grad=True)
    optimizer = thalweg.optim.Adam([{"params": [p], "name": "head", "layer": 3}])
    assert optimizer.param_groups[0]["layer"] == 3


def test_named_parameters():
    model = torch.nn.Linear(2, 1)
    optimizer = thalweg.optim.Adam(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def test_closure():
    p = torch.tensor([3.0], requires_grad=True)
    optimizer = thalweg.optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert p.item() == 0.0
    assert optimizer.step() is None


def test_hooks_of_torch_run():
    p = torch.zeros(1, requires_grad=True)
    optimizer, seen = thalweg.optim.SGD([p]), []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    optimizer.step()
    assert seen == ["before", "after"]


CALLS = {
    "nothing": lambda o, closure: o.step(),
    "by place": lambda o, closure: o.step(closure),
    "by name": lambda o, closure: o.step(closure=closure),
    "none by name": lambda o, closure: o.step(closure=None),
    "none by place": lambda o, closure: o.step(None),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@every_pair
def test_hooks_are_given_what_the_caller_gave(ours, theirs, call):
    def closure():
        return torch.tensor(1.0)

    seen = []
    for cls in (ours, theirs):
        optimizer = cls([torch.zeros(1, requires_grad=True)])
        for register in (optimizer.register_step_pre_hook, optimizer.register_step_post_hook):
            register(lambda o, args, kwargs: seen.append((o is args[0], args[1:], kwargs)))
        seen.append(call(optimizer, closure))
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_hooks_run_once_and_may_change_what_is_given():
    class Own(thalweg.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    for cls in (thalweg.optim.SGD, Own):
        p = torch.zeros(1, requires_grad=True)
        optimizer, seen = cls([p]), []
        optimizer.register_step_pre_hook(lambda *_, seen=seen: seen.append("before"))
        optimizer.register_step_pre_hook(lambda *_: ((optimizer,), {"closure": lambda: 5.0}))  # noqa: B023
        handle = register_optimizer_step_post_hook(lambda *_, seen=seen: seen.append("after any"))
        assert optimizer.step() == 5.0
        handle.remove()
        assert seen == ["before", "after any"]


SCHEDULES = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, 0.5),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=20),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: step / 10),  # begins at 0
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 20),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=2),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("name", "setting"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
@pytest.mark.parametrize("rate", [0.02, torch.tensor(0.02, dtype=torch.float64)], ids=["number", "tensor"])
def test_schedulers_drive_it_as_torchs(name, setting, schedule, rate):
    ends = []
    for cls in PAIRS[name]:
        start = rate.clone() if isinstance(rate, torch.Tensor) else rate
        p = torch.linspace(-1, 1, 5, dtype=torch.float64).requires_grad_()
        optimizer = cls([p], lr=start, **setting)
        scheduler = SCHEDULES[schedule](optimizer)
        for _ in range(20):
            p.grad = p.detach() ** 3 + 0.1
            optimizer.step()
            scheduler.step(*([1.0] if schedule == "ReduceLROnPlateau" else []))
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


def test_adabound_remembers_the_rate_before_the_schedule():
    p = torch.zeros(1, requires_grad=True)
    optimizer = thalweg.optim.AdaBound([p], lr=0.5)
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.1)
    p.grad = torch.ones(1)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    (group,) = optimizer.param_groups
    assert group["base_lr"] == 0.5
    assert group["lr"] == pytest.approx(0.5e-3)


@every_class
@pytest.mark.parametrize("hints", [{"foreach": True}, {"foreach": False}, {"fused": True}, {"fused": None}], ids=str)
def test_choices_of_implementation_are_accepted(cls, hints):
    p = torch.zeros(2, 3, requires_grad=True)
    p.grad = torch.ones(2, 3)
    optimizer = cls([p], **hints)
    for _ in range(2):  # a first step may only look, as ADOPT's does
        optimizer.step()
    assert (p < 0).all()
