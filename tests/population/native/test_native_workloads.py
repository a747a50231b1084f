"""The built-in workloads and the examples' models: native code, the vectorized program and the plain loop agree."""

import random
import runpy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import thalweg
from scope import THOROUGH
from stopping import outcomes
from test_example_files import EXAMPLES
from thalweg.population.planning.plan import NATIVE
from thalweg.population.planning.planned_job import plan_job
from thalweg.population.updates.members import Member, Trained
from thalweg.records.types import Measurement
from thalweg.studies import preparation
from thalweg.studies.contenders import Contender
from thalweg.workloads.catalogue import load, workload_names
from thalweg.workloads.workload import Workload

EPOCHS, BATCHES, SMALL = 3, 4, 20
AGREE = 1e-9
DRAWN = 10


def in_double(workload: Workload, batches: int = BATCHES) -> Workload:
    """The workload in float64, of its first batches, small enough for populations."""
    size = min(SMALL, workload.batch_size)

    def split(of: Any) -> tuple[tuple[Tensor, ...], Tensor]:
        count = batches * size
        return tuple(_double(x[:count]) for x in of.inputs), _double(of.targets[:count])

    def model() -> nn.Module:
        return workload.model().double()

    data = {name: split(getattr(workload, name)) for name in ("train", "validation")}
    return replace(workload, model=model, batch_size=size, epochs=EPOCHS, steps=None, test=None, target=None, **data)


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def trained(workload: Workload, chosen: Sequence[Member], execution: Any, *, native: bool = False) -> list[Trained]:
    planned = plan_job(workload, 0, device=torch.device("cpu"), workers=1, execution=execution, native=native)
    assert (planned.plan.program == NATIVE) is native, planned.plan
    return outcomes(replace(planned, job=replace(planned.job, keep_weights=True)), chosen)


def require_agreement(workload: Workload) -> None:
    eps = 1e-5  # beside which a gradient that is rounding, as of a dead unit, stays small
    given = (("adam", {"eps": eps}), ("momentum", {"lr": 1e-2}), ("adamw", {"eps": eps, "clip_global_norm": 1.0}))
    chosen = [Member(r := Contender(n).recipe, r.resolve(v), s) for n, v in given for s in (0, 1)]
    by_loop = trained(workload, chosen, "loop")
    for others in (trained(workload, chosen, "population"), trained(workload, chosen, "auto", native=True)):
        for ours, theirs in zip(others, by_loop, strict=True):
            assert "population" in ours.execution
            require_same_curve(ours.curve, theirs.curve)
            for name, weight in theirs.weights.items():
                torch.testing.assert_close(ours.weights[name], weight, rtol=AGREE, atol=AGREE)


def require_same_curve(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> None:
    assert [p.step for p in ours] == [p.step for p in theirs]
    for name in ("train_loss", "validation_loss", "validation_metric"):
        expected = [getattr(p, name) for p in theirs]
        assert [getattr(p, name) for p in ours] == pytest.approx(expected, rel=AGREE, abs=AGREE)


@pytest.mark.parametrize("name", [name for name in workload_names() if THOROUGH or name == "digits"])
def test_built_in_workloads(name: str, data_dir: Path) -> None:
    try:
        workload = load(name, data_dir)
    except thalweg.InputError as error:
        pytest.skip(f"no real data: {error}")
    require_agreement(in_double(workload))


@pytest.mark.parametrize("name", ["own_model.py"])
def test_the_models_of_the_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Workload] = []

    class Enough(Exception):  # noqa: N818 - not an error
        """Ends the example where it would begin to compare."""

    def compare(workload: Workload, *args: Any, **kwargs: Any) -> None:
        found.append(workload)
        raise Enough

    monkeypatch.setattr(thalweg, "compare", compare)
    with pytest.raises(Enough):
        runpy.run_path(str(EXAMPLES / name), run_name="imported")["main"]()
    require_agreement(in_double(found[0]))


def test_members_drawn_from_a_stored_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained again by the plain loop, they have the losses and metrics that the study recorded."""
    monkeypatch.setattr(preparation, "EARNED", 1)
    workload = in_double(load("digits"), 10)
    optimizers = ["adam", "momentum", "rmsprop", "adamw(clip_global_norm=1.0)", "lamb"]
    thalweg.compare(workload, optimizers=optimizers, seeds=3, out=tmp_path)
    result = thalweg.Studies(tmp_path).open()
    assert result.study.plan["program"] == NATIVE
    runs = [run for run in result.runs if run.diverged_at is None]
    assert len(runs) > 5 * DRAWN
    drawn = random.Random(7).sample(runs, DRAWN)
    for run in drawn:
        recipe = Contender(run.optimizer).recipe
        (again,) = trained(workload, [Member(recipe, recipe.resolve(run.hyperparameters), run.seed)], "loop")
        require_same_curve(run.curve, again.curve)
