"""The recommended optimizer of a study, and the model that it trains."""

import math
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.errors import InputError, listed
from thalweg.records.types import RunRecord

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from thalweg.studies.preparation import Prepared


class LeftOut(UserWarning):
    """Something of the study is not part of the optimizer that `Best.build` returns."""


OLD = "The study was made by a Thalweg that did not record how its optimizers are made: run it again."


@dataclass(frozen=True)
class Best:
    """The recommended contender with its chosen hyperparameters.

    contender: its name on the leaderboard. optimizer: its name in the catalogue, or import path. hyperparameters: those
    chosen, other than the published defaults. schedule: its text, such as `"cosine(warmup=5%)"`. run: its final run
    with the best validation metric, of which `seed` is. model: the arguments with which the model's factory was called.
    """

    contender: str
    optimizer: str
    hyperparameters: Mapping[str, Any]
    learning_rate: float | None
    run: RunRecord
    schedule: str | None
    lines: Mapping[str, str | None] = field(repr=False, compare=False)
    call: tuple[str, Mapping[str, Any]] | None = field(repr=False, compare=False)
    left_out: tuple[str, ...] = field(repr=False, compare=False)
    prepare: "Callable[..., Prepared]" = field(repr=False, compare=False)
    unwritable: tuple[str, ...] = field(default=(), repr=False, compare=False)
    model: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return self.run.seed

    def code(self, library: str = "thalweg") -> str:
        """Lines of Python that make the optimizer, with the chosen rate, hyperparameters and schedule.

        library: `"thalweg"`, or `"torch"` for the class of `torch.optim` that takes the same steps.

        Raises:
            InputError: another library, one that has no such class, or a study of an older Thalweg.
        """
        if library not in ("thalweg", "torch"):
            raise InputError(f"library must be 'thalweg' or 'torch', got {library!r}.")
        found = self.lines["thalweg"]
        if found is None:
            raise self._unmade()
        if library == "torch" and not self._in_torch():
            raise InputError(f"torch.optim has no class that takes the steps of {self.contender}: use code().")
        return self.lines["torch"] or found if library == "torch" else found

    def _in_torch(self) -> bool:
        """Whether torch's class takes the same arguments."""
        import ast
        import inspect

        import torch

        if self.lines["torch"] is None:
            return False
        calls = [node for node in ast.walk(ast.parse(self.lines["torch"])) if isinstance(node, ast.Call)]
        made = next(call for call in calls if ast.unparse(call.func).startswith("torch.optim."))
        known = inspect.signature(getattr(torch.optim, ast.unparse(made.func).rpartition(".")[2])).parameters
        return all(keyword.arg in known for keyword in made.keywords)

    def _unmade(self) -> InputError:
        """Why there is no call that makes the optimizer."""
        if not self.unwritable:
            return InputError(OLD)
        return InputError(
            f"{self.contender} sets {listed(self.unwritable)}, which no argument of its class sets: make the optimizer"
            " by hand, with it in the param groups."
        )

    def build(self, parameters: Any) -> "Optimizer":
        """The optimizer with the chosen rate and hyperparameters, for parameters or param groups of your own.

        `Workload(parameters=…)` goes in as param groups, by `thalweg.optim.grouped`. What the arguments
        of a class cannot say, such as a schedule, is in the lines of `code()` only: a warning (`LeftOut`) names it.

        Raises:
            InputError: a study of an older Thalweg, a contender whose class or function cannot be imported, or
                parameters that it does not take.
        """
        from thalweg.api.building import called

        if self.call is None:
            raise self._unmade()
        made = called(*self.call, parameters)
        if self.left_out:
            said = f"The optimizer is without {listed(self.left_out)}, with which it was trained: see code()."
            warnings.warn(said, LeftOut, 2)
        return made

    def train(self, *, seed: int | None = None, workload: Any = None, optimizers: Any = None) -> "nn.Module":
        """Trains the model again as in the study, by the plain loop, and returns it in evaluation mode.

        With the seed of its best final run by default, it equals that run but for rounding. With early stopping, it has
        the weights of its best measurement.

        Args:
            seed: of the initial weights, the batches and dropout.
            workload: the one passed to `compare`, of a stored study of one's own that is no file.
            optimizers: those passed to `compare`, of a stored study that compared rules or functions of one's own.

        Raises:
            InputError: the study cannot be found again, or the training fails.
        """
        import torch

        from thalweg.population.engine.task import MembersFinished
        from thalweg.population.engine.train import train
        from thalweg.population.program.models import build, state
        from thalweg.population.updates.snapshot import Snapshot, copied

        prepared = self.prepare(workload, optimizers)
        chosen = next(c for c in prepared.design.contenders if c.label == self.contender)
        of = prepared.jobs.of(chosen)
        own = chosen.member(self.hyperparameters, self.seed if seed is None else seed, of.job.workload)
        plan = replace(of.plan, reason="asked for", width=1, workers=1)
        planned = replace(of, plan=plan, job=replace(of.job, keep_weights=True))
        (trained,) = (e.outcomes[0] for e in train(planned, [own]) if isinstance(e, MembersFinished))
        if trained.failure or trained.diverged_at is not None:
            reason = trained.failure or "it diverged"
            raise InputError(f"{self.contender} did not finish with seed {own.seed}: {reason}.")
        model = build(planned.job.workload, own.seed, planned.job.device)
        with torch.no_grad():
            copied(state(model), Snapshot(dict(trained.weights)))
        return model.eval()

    def save(self, path: str | os.PathLike[str], **given: Any) -> Path:
        """Trains the model as `train` does, and writes its parameters and buffers to a safetensors file, atomically.

        `model.load_state_dict(safetensors.torch.load_file(path), strict=False)` loads them, into a model of the same
        arguments, `self.model`, which the file's metadata name; tensors that share memory are written once. Raises
        `InputError` as `train`, and where the file cannot be written.
        """
        from safetensors.torch import save_model

        model, where = self.train(**given), Path(path)
        try:
            with tempfile.TemporaryDirectory(dir=where.parent) as folder:
                made = Path(folder) / where.name
                save_model(model.cpu(), str(made), metadata=self._facts())
                made.replace(where)
        except OSError as error:
            raise InputError(f"The model cannot be written to {where}: {error.strerror}.") from None
        return where

    def _facts(self) -> dict[str, str]:
        from thalweg.workloads.model_arguments import written

        given = ", ".join(f"{name}={value}" for name, value in self.hyperparameters.items())
        model = {"model": written(self.model)} if self.model else {}
        return {"optimizer": f"{self.optimizer}({given})", "seed": str(self.seed), **model}


def saved_to(path: Path | None) -> Path | None:
    """The path. Raises `InputError` for another kind of file, before anything is trained."""
    if path is not None and path.suffix != ".safetensors":
        raise InputError(f"save_model must be a .safetensors file, got {str(path)!r}.")
    return path


def best_of(result: Any, prepare: "Callable[..., Prepared] | None") -> Best | None:
    """The recommended contender of a result; `None` where there is none."""
    from thalweg.analysis.code import arguments, code, left_out
    from thalweg.analysis.recommendation import pick

    row = pick(result.rows)
    if row is None or row.choice is None or prepare is None:
        return None
    own = [r for r in result.runs if r.contender == row.contender and r.hyperparameters == row.hyperparameters]
    finals = [r for r in own if r.role == "confirmation"] or [r for r in own if r.role == "tuning"]
    ended = [r for r in finals if r.curve and not r.failure and r.diverged_at is None]
    if not ended:
        return None
    sign = 1 if result.study.higher_is_better else -1
    run = max(ended, key=lambda r: _merit(r, sign))
    lines = {"thalweg": code(result.study, row), "torch": code(result.study, row, torch=True)}
    schedule = row.factors.get("schedule")
    about = (row.contender, row.optimizer, row.hyperparameters, row.learning_rate)
    made, given = result.study.calls.get(row.contender), arguments(result.study, row)
    call = None if made is None or given is None else (made["name"], given)
    unset = tuple(name for name in (made or {}).get("unwritable", ()) if name in row.hyperparameters)
    asked = None if schedule is None else str(schedule)
    return Best(
        *about,
        run,
        asked,
        lines,
        call,
        left_out(result.study, row),
        prepare,
        unset,
        dict((made or {}).get("model", {})),
    )


def _merit(run: RunRecord, sign: int) -> float:
    """Of the final weights: with early stopping those that were restored."""
    return -math.inf if run.validation_metric is None else sign * run.validation_metric
