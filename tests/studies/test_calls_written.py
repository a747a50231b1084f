"""How the lines that a study prints are written: rates, schedules, limits, groups, and what is the user's own."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pasted import best, built, evaluated, made, model, reference, same, stepped

import thalweg
from records_fixture import STUDY
from scope import conformance_only
from thalweg.api.best import LeftOut
from thalweg.errors import InputError
from thalweg.recipes.catalogue import Recipe
from thalweg.rules.hyperparameters import Rate
from thalweg.studies.contenders import Contender

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
    line, comment = best(Contender("sgd"), {"lr": 0.0123}, grouped=True).code().split("\n")
    assert comment == "# rules: workload.parameters_of(model), with what is Scaled multiplied out"
    assert line == "thalweg.optim.SGD(thalweg.optim.grouped(model, *rules), lr=1.23e-2)"
    optimizer = evaluated(line, model=own, rules=(rules,))
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.0123]
    found = best(Contender("sgd"), {"lr": 0.0123}).build(thalweg.optim.grouped(own, rules))
    assert [group["lr"] for group in found.param_groups] == [0.5, 0.0123]


def test_rates_of_param_groups_off_the_schedule_are_said() -> None:
    lines = best(Contender("sgd", schedule="cosine"), {"lr": 0.0123}, grouped=True).code().split("\n")
    assert lines[-1].endswith("; a rate that they set to a number did not follow the schedule")


@pytest.mark.parametrize("name", ["muon", "moonlight", "normuon"])
def test_a_rule_of_matrices_is_made_for_a_model_with_biases(name: str) -> None:
    contender, values = Contender(name), {"lr": 0.0123}
    text = best(contender, values).code()
    assert "(thalweg.optim.grouped(model, thalweg.optim.adamw_rest(model)), lr=1.23e-2" in text
    of, by_hand = model(), model()
    groups = thalweg.optim.grouped(by_hand, thalweg.optim.adamw_rest(by_hand))
    assert same(stepped(evaluated(text, model=of), of), stepped(best(contender, values).build(groups), by_hand))
    assert ".adamw_rest(model), *rules)" in best(contender, values, grouped=True).code()


def test_averaged_weights_are_said() -> None:
    said = "\n# to evaluate and save: with optimizer.averaged_weights()"
    averaged = best(Contender("adam(ema_decay=0.9)"), {"lr": 0.1, "ema_decay": 0.9})
    assert averaged.code().endswith(said)
    assert best(Contender("schedule_free_adamw"), {"lr": 0.1}).code().endswith(said)
    assert said not in best(Contender("adam"), {"lr": 0.1}).code()


def test_an_optimizer_without_its_schedule_or_clipping_is_said() -> None:
    clipped = Contender("torch.optim:Adam").clipped(0.5)
    for contender, what in (
        (Contender("sgd", schedule="cosine"), "the schedule cosine,"),
        (clipped, "clipping,"),
        (Contender("torch.optim:Adam", schedule="cosine").clipped(0.5), "the schedule cosine and clipping,"),
        (Contender("sgd", regularizer="early-stopping=2"), "early stopping,"),
        (Contender("sgd", regularizer="l2=1e-2"), "groups for biases and norms, which are not penalized,"),
    ):
        with pytest.warns(LeftOut, match=f"The optimizer is without {what} with which it was trained: see code"):
            best(contender, {"lr": 0.1}).build(model().parameters())
    best(Contender("adam").clipped(0.5), {"lr": 0.1, "clip_global_norm": 0.5}).build(model().parameters())


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
from pasted import best, model, same, stepped
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


@conformance_only
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
