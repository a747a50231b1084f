"""The lines that a study prints make the optimizer that it trained: evaluated, and compared step by step."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import thalweg
from records_fixture import RUN, STUDY
from scope import THOROUGH
from thalweg.analysis.leaderboard import leaderboard
from thalweg.api.best import Best, best_of
from thalweg.api.result import Result
from thalweg.errors import InputError
from thalweg.options.declared import CONVENTIONS
from thalweg.recipes.catalogue import Recipe, recipes
from thalweg.rules.hyperparameters import Rate
from thalweg.studies.calls import TORCH, call_of
from thalweg.studies.contenders import Contender

STEPS = 3
EVERY = [(name, by) for name, recipe in recipes().items() for by in recipe.conventions]


def model(*, bias: bool = True) -> nn.Module:
    """Float64, the same every time. bias: whether it has vectors beside matrices."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6, bias), nn.Tanh(), nn.Linear(6, 3, bias)).double()


def fitting(recipe: Any) -> nn.Module:
    """A model for a recipe, of matrices only where it steps no others."""
    return model(bias=not (isinstance(recipe, Recipe) and recipe.rule.others))


def stepped(optimizer: torch.optim.Optimizer, of: nn.Module, *, scheduler: Any = None) -> list[Tensor]:
    """The parameters after steps with gradients that do not depend on them."""
    random = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        for p in of.parameters():
            p.grad = torch.randn(p.shape, generator=random, dtype=p.dtype)
        optimizer.step(lambda: torch.zeros(()))
        if scheduler is not None:
            scheduler.step()
    return [p.detach().clone() for p in of.parameters()]


def best(contender: Contender, values: Mapping[str, Any], *, grouped: bool = False) -> Best:
    """The answer of a study of that contender as a store returns it, which chose these values."""
    label, call = contender.label, json.loads(json.dumps(call_of(contender, grouped=grouped)))
    record = replace(STUDY, contenders=(label,), calls={label: call}, factors={label: contender.factors})
    rate = contender.recipe.rate
    run = replace(RUN, contender=label, factors=contender.factors, hyperparameters=dict(values), rate=rate)
    runs = [replace(run, seed=seed) for seed in range(3)]
    found = best_of(Result(record, runs, leaderboard(record, runs), ""), never)
    assert found is not None
    return found


def never(*_: Any) -> Any:
    raise AssertionError("the problem is not looked for")


def evaluated(text: str, **names: Any) -> Any:
    return eval(text, {"thalweg": thalweg, "torch": torch, **names})


def made(contender: Contender, values: Mapping[str, Any], library: str = "thalweg") -> list[Tensor]:
    """Parameters after the steps of what the lines make."""
    own = fitting(contender.recipe)
    return stepped(evaluated(best(contender, values).code(library), model=own), own)


def built(contender: Contender, values: Mapping[str, Any]) -> list[Tensor]:
    own = fitting(contender.recipe)
    return stepped(best(contender, values).build(own.parameters()), own)


def class_of(recipe: Recipe) -> Any:
    """The class that has a recipe's rule; its own where it has one."""
    if recipe.drop_in is not None:
        return getattr(thalweg.optim, recipe.drop_in.name)
    owner = recipes()[recipe.rule.name].drop_in
    assert owner is not None
    return getattr(thalweg.optim, owner.name)


def reference(recipe: Recipe, values: Mapping[str, Any]) -> list[Tensor]:
    """Every hyperparameter given by name, defaults too, so that nothing hangs on what a call may leave out."""
    given = dict(recipe.resolve(values))
    for name, members in recipe.rule.tuple_arguments.items():
        given[name] = tuple(given.pop(member) for member in members)
    given = {key: value for key, value in given.items() if key != "base_lr"}  # follows lr; no argument
    own = fitting(recipe)
    return stepped(class_of(recipe)(own.parameters(), **given, convention=recipe.convention), own)


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def choices(recipe: Recipe) -> list[dict[str, Any]]:
    """Hyperparameters that a study may choose: the rate; others too; those of torch where a convention has others."""
    assert recipe.rate is not None
    usual, own = Recipe(recipe.preset).defaults, recipe.defaults
    as_torch = {name: value for name, value in usual.items() if value != own[name] and value is not None}
    several = {name: 0.75 for name in ("beta1", "beta2", "momentum", "eps") if name in own}
    of_torch = recipe.convention == CONVENTIONS[0]
    varied: list[dict[str, Any]] = [{"clip_global_norm": 0.5}, several] if of_torch or THOROUGH else [as_torch]
    varied += [{}]
    varied += [{name: value} for of in (as_torch, several) for name, value in of.items() if THOROUGH or name == "beta2"]
    return [{recipe.rate: 0.0123, **each} for each in varied]


@pytest.mark.parametrize(("name", "by"), EVERY)
def test_the_lines_make_the_optimizer_that_was_trained(name: str, by: str) -> None:
    contender = Contender(name, convention=by)
    assert isinstance(contender.recipe, Recipe)
    for values in choices(contender.recipe):
        expected = reference(contender.recipe, values)
        assert same(made(contender, values), expected), values
        assert same(built(contender, values), expected), values
        assert not same(expected, [p.detach() for p in fitting(contender.recipe).parameters()])


def numbers(recipe: Recipe) -> list[dict[str, Any]]:
    """What torch's class has too, each set apart, flags turned round."""
    found: list[dict[str, Any]] = [{}]
    for name, value in recipe.defaults.items():
        if name in ("weight_decay", "dampening"):
            found.append({name: 0.03})
        elif isinstance(value, bool):
            found.append({name: not value})
        elif name in ("beta1", "beta2", "momentum", "eps", "rho", "alpha", "lambd", "t0", "lr_decay", "momentum_decay"):
            found.append({name: 0.4})
        elif name in ("initial_accumulator_value", "etaminus"):
            found.append({name: 0.3})
        elif name in ("etaplus", "step_size_max"):
            found.append({name: 1.7})
    return found


OF_TORCH = [
    (name, by) for name, by in EVERY if call_of(Contender(name, convention=by), grouped=False)["torch"] is not None
]


@pytest.mark.parametrize(("name", "by"), OF_TORCH)
def test_where_torch_has_a_class_its_line_takes_the_same_steps(name: str, by: str) -> None:
    """Every hyperparameter that the line may set, by itself and with momentum; what torch has not is not offered."""
    contender, offered = Contender(name, convention=by), 0
    assert isinstance(contender.recipe, Recipe)
    for each in numbers(contender.recipe):
        for more in ({}, {"momentum": 0.9}) if "momentum" in contender.recipe.defaults else ({},):
            values = {"lr": 0.0123, **more, **each}
            try:
                expected = reference(contender.recipe, values)
            except InputError:  # contradictory, as nesterov without momentum
                continue
            try:
                found = made(contender, values, "torch")
            except InputError:
                continue
            offered += 1
            for ours, theirs in zip(expected, found, strict=True):
                assert torch.allclose(ours, theirs, rtol=0, atol=1e-12), values
    assert offered > 1 if by == "torch" else not offered


def test_torch_s_classes_are_those_of_the_catalogue() -> None:
    assert {recipes()[name].drop_in.name for name, _ in OF_TORCH if recipes()[name].drop_in} == TORCH  # type: ignore[union-attr]


RUN_LENGTH = SimpleNamespace(total_steps=STUDY.steps, steps_per_epoch=STUDY.steps_per_epoch)
SCHEDULES = (
    "cosine(warmup=5%)",
    "1cycle",
    "1cycle(momentum=False)",
    "linear",
    "inverse-time",
    "cosine-restarts",
    "wsd",
)


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "sgd(lr=0.05)"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_scheduler_follows_what_the_study_trained(name: str, schedule: str) -> None:
    """Against the schedule as the hyperparameter of the run, as the study's members have it."""
    contender = Contender(name, schedule=schedule)
    assert isinstance(contender.recipe, Recipe)
    values = {**contender.fixed, "lr": 0.05}
    member = contender.member(values, 0, RUN_LENGTH)  # type: ignore[arg-type]
    expected = reference(contender.recipe, member.values)
    found = best(contender, values)
    assert found.schedule == contender.factors["schedule"]
    for library in ("thalweg", "torch"):
        own = model()
        names = {"thalweg": thalweg, "torch": torch, "model": own}
        exec(found.code(library), names)
        assert type(names["optimizer"]).__module__.startswith(library)
        for ours, theirs in zip(stepped(names["optimizer"], own, scheduler=names["scheduler"]), expected, strict=True):
            assert torch.allclose(ours, theirs, rtol=0, atol=1e-12), library


def cosine(step: int) -> float:
    """A user's function that has the name of one of ours."""
    return 1.0 / (1 + step)


@pytest.mark.parametrize("schedule", [cosine, lambda step: 1.0 + step, "performance(patience=2)"])
def test_a_schedule_that_no_text_makes_is_a_comment(schedule: Any) -> None:
    found = best(Contender("adam", schedule=schedule), {"lr": 0.05})
    optimizer, comment = found.code().split("\n")
    assert optimizer == "optimizer = thalweg.optim.Adam(model.parameters(), lr=5e-2)"
    assert comment.startswith("# its learning rate follows")
    assert str(found.schedule) in comment


def test_a_rate_is_written_with_all_its_digits_where_three_are_not_all() -> None:
    """As of a search, which draws rates."""
    for rate, text in ((0.0012345678, "0.0012345678"), (10**-2.5, "0.0031622776601683794"), (0.00316, "3.16e-3")):
        found = best(Contender("adam"), {"lr": rate})
        assert found.code() == f"thalweg.optim.Adam(model.parameters(), lr={text})"
        assert evaluated(found.code(), model=model()).param_groups[0]["lr"] == rate


CALLS = [
    ("adam", {"lr": 3e-3}, "thalweg.optim.Adam", "lr=3e-3"),
    ("adam(beta2=0.99)", {"lr": 3e-3, "beta2": 0.99}, "thalweg.optim.Adam", "lr=3e-3, betas=(0.9, 0.99)"),
    ("nesterov", {"lr": 0.1}, "thalweg.optim.SGD", "lr=0.1, momentum=0.9, nesterov=True"),
    ("rprop", {"lr": 0.1, "etaplus": 1.3}, "thalweg.optim.Rprop", "lr=0.1, etas=(0.5, 1.3)"),
    ("torch.optim:RAdam", {"lr": 0.1, "eps": 1e-6}, "torch.optim.RAdam", "lr=0.1, eps=1e-06"),
    ("torch.optim:Adam", {"lr": 0.1, "betas": (0.8, 0.9)}, "torch.optim.Adam", "lr=0.1, betas=(0.8, 0.9)"),
    ("torch.optim:Adam", {"lr": 0.1, "eps": math.inf}, "torch.optim.Adam", "lr=0.1, eps=float('inf')"),
]


@pytest.mark.parametrize(("written", "values", "name", "given"), CALLS)
def test_what_the_line_says(written: str, values: dict[str, Any], name: str, given: str) -> None:
    assert best(Contender(written), values).code() == f"{name}(model.parameters(), {given})"


@pytest.mark.parametrize("written", ["torch.optim:RAdam", "torch.optim:Adam", "torch.optim:SGD(momentum=0.9)"])
def test_an_imported_class_is_called_by_its_path(written: str) -> None:
    contender = Contender(written)
    values = {**contender.fixed, "lr": 0.0123}
    own = model()
    of = getattr(torch.optim, contender.recipe.name.rpartition(":")[2])
    expected = stepped(of(own.parameters(), **values), own)
    assert same(made(contender, values), expected)
    assert same(built(contender, values), expected)
    assert same(made(contender, values, "torch"), expected)


def test_a_common_limit_of_the_gradients_is_in_the_line() -> None:
    ours, theirs = (Contender(name).clipped(0.123456789) for name in ("adam", "torch.optim:Adam"))
    values = {"lr": 0.0123}
    assert same(made(ours, values), reference(ours.recipe, values))  # type: ignore[arg-type]
    assert "clip_global_norm=0.123456789" in best(ours, values).code()
    with pytest.raises(InputError, match="has no class that takes the steps of adam"):
        best(ours, values).code("torch")
    line, comment = best(theirs, values).code().split("\n")
    assert line == "torch.optim.Adam(model.parameters(), lr=1.23e-2)"
    assert comment == "# before each step: clip_grad_norm_(model.parameters(), 0.123456789)"


def test_param_groups_of_the_workload_are_those_of_the_line() -> None:
    rules = {"0.weight": {"lr": 0.5}}
    own = model()
    line = best(Contender("sgd"), {"lr": 0.0123}, grouped=True).code()
    assert line == "thalweg.optim.SGD(thalweg.optim.grouped(model, *rules), lr=1.23e-2)"
    optimizer = evaluated(line, model=own, rules=(rules,))
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.0123]
    found = best(Contender("sgd"), {"lr": 0.0123}).build(thalweg.optim.grouped(own, rules))
    assert [group["lr"] for group in found.param_groups] == [0.5, 0.0123]


@thalweg.rule(paper="none: written for a test", drop_in="Halved(lr)", rates=(1e-3, 1e-1))
def halved(g: Any, p: Any, t: Any, *, lr: Rate = 0.1) -> Any:  # type: ignore[assignment]
    """Steps of half the rate."""
    return (0.5 * lr * g,)


def test_a_rule_of_the_user_s_is_made_by_its_module() -> None:
    contender, values = Contender(halved), {"lr": 0.0123}
    found, own = best(contender, values), model()
    assert found.code() == f"thalweg.optim.drop_in({__name__}.halved)(model.parameters(), lr=1.23e-2)"
    expected = stepped(torch.optim.SGD(own.parameters(), lr=0.0123 / 2), own)
    root = __name__.partition(".")[0]
    of = model()
    assert same(stepped(evaluated(found.code(), model=of, **{root: sys.modules[root]}), of), expected)
    assert same(built(contender, values), expected)
    with pytest.raises(InputError, match="no class"):
        found.code("torch")


IN_MAIN = """
import thalweg, torch
from test_calls import best, model, same, stepped
from thalweg.rules.hyperparameters import Rate
from thalweg.studies.contenders import Contender

@thalweg.rule(paper="none", drop_in="Halved(lr)", rates=(1e-3, 1e-1))
def halved(g, p, t, *, lr: Rate = 0.1):
    return (0.5 * lr * g,)

class Mine(torch.optim.SGD):
    pass

for of, name in ((halved, "thalweg.optim.drop_in(halved)"), (Mine, "Mine")):
    found = best(Contender(of), {"lr": 0.0123})
    assert found.code() == f"{name}(model.parameters(), lr=1.23e-2)", found.code()
    a, b = model(), model()
    built = stepped(found.build(b.parameters()), b)
    assert same(stepped(eval(found.code(), {**globals(), "model": a}), a), built)
print("done")
"""


def test_what_a_script_defines_itself_is_made_by_its_name() -> None:
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", IN_MAIN], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.stdout.strip() == "done", done.stderr


def test_what_cannot_be_made_is_refused_in_a_sentence() -> None:
    local = best(Contender(lambda params, lr=0.1: torch.optim.SGD(params, lr=lr)), {"lr": 0.0123})
    with pytest.raises(InputError, match="cannot be imported here: make the optimizer by hand"):
        local.build(model().parameters())
    with pytest.raises(InputError, match="library must be 'thalweg' or 'torch', got 'jax'"):
        local.code("jax")
    with pytest.raises(InputError, match=r"torch.optim.Adam cannot be made of these parameters: .*empty"):
        best(Contender("torch.optim:Adam"), {"lr": 0.0123}).build([])
    old = replace(best(Contender("adam"), {"lr": 0.1}), lines={"thalweg": None, "torch": None}, call=None)
    for ask in (old.code, lambda: old.code("torch"), lambda: old.build(model().parameters())):
        with pytest.raises(InputError, match="did not record how its optimizers are made"):
            ask()


def test_a_hyperparameter_that_no_argument_sets_makes_no_line() -> None:
    """AdaBound's base_lr follows lr, or stands in a param group."""
    assert best(Contender("adabound"), {"lr": 0.1}).code() == "thalweg.optim.AdaBound(model.parameters(), lr=0.1)"
    with pytest.raises(InputError, match="base_lr, which no argument of its class sets"):
        best(Contender("adabound(base_lr=0.01)"), {"lr": 0.1, "base_lr": 0.01}).code()
    with pytest.raises(InputError, match="base_lr, which no argument of its class sets"):
        best(Contender("adabound(base_lr=0.01)"), {"lr": 0.1, "base_lr": 0.01}).build(model().parameters())
