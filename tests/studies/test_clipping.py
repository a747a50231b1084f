"""`clip_norm` of a comparison: the limit of every contender's recipe, whatever steps it, and one limit only."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import thalweg
from problems import tiny
from thalweg.api.again import again
from thalweg.errors import InputError
from thalweg.recipes.imported import Imported
from thalweg.studies.contenders import Contender
from thalweg.studies.design import Design

LIMIT = 0.05
ASKED: dict[str, Any] = {"learning_rates": [0.05], "seeds": 1, "confirm_seeds": 1, "epochs": 1, "progress": False}


def by_hand(make: Any, seed: int, limit: float | None, steps: int = 21) -> torch.nn.Module:
    """A model of the seed, trained with `torch.nn.utils.clip_grad_norm_`."""
    workload = tiny(torch.float64)
    torch.manual_seed(seed)
    model = workload.model()
    optimizer = make(model)
    (x,), y = workload.train.inputs, workload.train.targets
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed)).split(workload.batch_size)
    for batch in order[:steps]:

        def closure(batch: torch.Tensor = batch) -> torch.Tensor:
            optimizer.zero_grad()
            loss: torch.Tensor = workload.loss(model(x[batch]), y[batch])
            loss.backward()
            if limit is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
            return loss

        optimizer.step(closure) if isinstance(optimizer, torch.optim.LBFGS) else (closure(), optimizer.step())
    return model


def loss_of(model: torch.nn.Module) -> float:
    workload = tiny(torch.float64)
    with torch.no_grad():
        return float(workload.loss(model(*workload.validation.inputs), workload.validation.targets))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd", lambda m: torch.optim.SGD(m.parameters(), lr=0.05)),
        ("adam", lambda m: torch.optim.Adam(m.parameters(), lr=0.05)),
        ("torch.optim:RAdam", lambda m: torch.optim.RAdam(m.parameters(), lr=0.05)),
        ("torch.optim:LBFGS(max_iter=2)", lambda m: torch.optim.LBFGS(m.parameters(), lr=0.05, max_iter=2)),
        ("thalweg.optim:AdamW", lambda m: torch.optim.AdamW(m.parameters(), lr=0.05)),
    ],
)
def test_every_optimizer_is_the_plain_loop_with_torchs_clipping(name: str, make: Any) -> None:
    """The tuning run, the confirmation and the published defaults alike."""
    result = thalweg.compare(tiny(torch.float64), [name], clip_norm=LIMIT, **ASKED)
    run = result.runs[0]
    clipped = loss_of(by_hand(make, run.seed, LIMIT))
    assert run.curve[-1].validation_loss == pytest.approx(clipped, rel=1e-9)
    assert clipped != pytest.approx(loss_of(by_hand(make, run.seed, None)), rel=1e-3), "the limit is reached"
    if name == "sgd":
        defaults = next(r for r in result.runs if r.role == "defaults")
        model = by_hand(lambda m: torch.optim.SGD(m.parameters(), lr=defaults.learning_rate), defaults.seed, LIMIT)
        assert defaults.curve[-1].validation_loss == pytest.approx(loss_of(model), rel=1e-9)


def test_it_is_the_option_of_the_recipe() -> None:
    """Where a rule of matrices has AdamW step some parameters, and with a model rule, the norm is that of all."""
    names = ["muon", "adam(sam=0.05)", "adamw(centralize=True, clip_adaptive=0.1)"]
    all_at_once = thalweg.compare(tiny(torch.float64), names, clip_norm=LIMIT, **ASKED)
    each = [Contender(name, fixed={"clip_global_norm": LIMIT}, title=name) for name in names]
    by_option = thalweg.compare(tiny(torch.float64), each, **ASKED)
    for role in ("tuning", "confirmation"):
        ours, theirs = ([r for r in of.runs if r.role == role] for of in (all_at_once, by_option))
        assert [r.contender for r in ours] == [r.contender for r in theirs] == names
        assert [r.curve for r in ours] == [r.curve for r in theirs]


def test_labels_and_hyperparameters_of_a_record_stay_what_was_asked_for() -> None:
    result = thalweg.compare(tiny(), ["sgd", "torch.optim:SGD"], clip_norm=LIMIT, **ASKED)
    assert result.study.contenders == ("sgd", "torch.optim:SGD")
    assert all(run.hyperparameters == {"lr": run.learning_rate} for run in result.runs)
    assert result.study.plan["clip_norm"] == LIMIT


@pytest.mark.parametrize(
    ("contender", "value"),
    [
        (Contender("adam(clip_global_norm=1.0)"), "1.0"),
        (Contender("adam(clip_global_norm=0)"), "0"),
        (Contender("adam", space={"clip_global_norm": [0.05, 0.5]}), r"\[0.05, 0.5\]"),
        (Contender("thalweg.optim:Adam(clip_global_norm=1.0)"), "1.0"),
    ],
)
def test_two_limits_are_refused(contender: Contender, value: str) -> None:
    with pytest.raises(InputError, match=rf"its clip_global_norm is {value}, and clip_norm is 0.05 for all: give one"):
        thalweg.compare(tiny(), [contender], clip_norm=LIMIT, **{**ASKED, "learning_rates": None})


@pytest.mark.parametrize("name", ["adam", "thalweg.optim:Adam"])
def test_the_same_limit_twice_is_one(name: str) -> None:
    (contender,) = Design([Contender(f"{name}(clip_global_norm={LIMIT})")], None, 1, 1, 0, clip_norm=LIMIT).contenders
    assert contender.fixed == {"clip_global_norm": LIMIT}
    assert contender.recipe.clip_global_norm == LIMIT, "its published defaults are clipped, too"
    if isinstance(contender.recipe, Imported):
        assert contender.recipe.limit_of(contender.fixed) == 0, "its own is what clips"
        assert contender.recipe.limit_of({}) == LIMIT


@pytest.mark.parametrize("name", ["sgd", "thalweg.optim:SGD"])
def test_published_defaults_are_clipped_beside_the_same_limit_of_its_own(name: str) -> None:
    asked = {**ASKED, "confirm_seeds": 1}
    both = [f"own = {name}(clip_global_norm={LIMIT})", f"none = {name}"]
    found = thalweg.compare(tiny(), both, clip_norm=LIMIT, **asked)
    runs = {run.contender: run for run in found.runs if run.role == "defaults"}
    assert runs["own"].hyperparameters == runs["none"].hyperparameters
    assert runs["own"].curve == runs["none"].curve


def test_a_resumed_study_clips_as_it_began() -> None:
    begun = thalweg.compare(tiny(), ["sgd"], clip_norm=LIMIT, **ASKED)
    resumed = again(begun.study, tiny(), None, 0.0)
    assert [c.recipe.clip_global_norm for c in resumed.design.contenders] == [LIMIT]
    assert resumed.record.plan["clip_norm"] == LIMIT


def test_a_clipped_study_of_an_earlier_thalweg_is_not_gone_on_with() -> None:
    """Its order of operations was another; without clipping nothing has changed."""
    for limit in (LIMIT, None):
        begun = thalweg.compare(tiny(), ["sgd"], clip_norm=limit, **ASKED)
        asked = dict(begun.study.request)
        asked["design"] = {name: value for name, value in asked["design"].items() if name != "clip_norm"}
        record = replace(begun.study, request=asked)
        if limit is None:
            assert again(record, tiny(), None, 0.0).design.clip_norm is None
        else:
            with pytest.raises(InputError, match="clipped in another order by an earlier Thalweg"):
                again(record, tiny(), None, 0.0)
