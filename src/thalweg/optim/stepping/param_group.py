"""One step of an optimizer: gathers the gradients of its param groups, checks all, then steps each group."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter, is_
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from thalweg.execution import dispatch
from thalweg.execution.data_pointers import PLAIN
from thalweg.execution.driver import carry_out, measure_shared
from thalweg.execution.whole import transform_gradient
from thalweg.optim.interop import sharded, sparse
from thalweg.optim.interop.default_device import on_cpu_by_default
from thalweg.optim.interop.loss_scaling import NONE_FINER, Finer
from thalweg.optim.interop.signature import class_name
from thalweg.optim.state import fitting
from thalweg.optim.state import state as states
from thalweg.optim.state.state import Needs
from thalweg.optim.stepping import general_path
from thalweg.optim.stepping.diagnostics import SilentFailures, SlowStep, tell
from thalweg.optim.stepping.fast_path import FastPath, Unsuited
from thalweg.optim.stepping.general_path import Work
from thalweg.optim.stepping.reading import Reading
from thalweg.recipes.catalogue import Recipe

PATIENCE = 10  # consecutive steps that are prepared anew before a warning
PATTERNS = 16  # sets of parameters with a gradient that stay prepared: batches reach different experts

_gradient = attrgetter("grad")


class OptimizerStep:
    """Steps an optimizer's param groups."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._groups: list[ParamGroupStep] = []
        self._states: states.States | None = None
        self._owned: list[Any] = []  # parameters, then their states
        self._version = 0

    def step(
        self,
        groups: Sequence[Mapping[str, Any]],
        all_states: states.States,
        watch: SilentFailures,
        unscaled: Callable[[], Finer] | None = None,
        *,
        watched: bool,
    ) -> None:
        """Steps every parameter that has a gradient, in place.

        unscaled: divides all gradients by a loss's scale, and returns those to use instead of `p.grad`.
        watched: `dispatch.watched()`.
        Raises `InputError`, before anything changes, where a parameter cannot be stepped as it is.
        """
        while len(self._groups) < len(groups):
            self._groups.append(ParamGroupStep(self._recipe, len(self._groups)))
        del self._groups[len(groups) :]  # frees references to removed parameters
        try:
            if not (watched or unscaled) and watch.done and self._ready(groups, all_states):
                for update in self._groups:
                    job = update.prepared
                    job.begin()  # only now: an earlier group may have stepped the same parameter
                    job.end(carry_out(job.program, job, job.values))
                    update.finish()
            else:
                self._step_generally(groups, all_states, watch, unscaled)
        except BaseException:
            for update in self._groups:
                update.release()
            raise

    def _ready(self, groups: Sequence[Mapping[str, Any]], all_states: states.States) -> bool:
        """Whether each group by itself can take the fast path as its gradients are (most steps)."""
        version = self._version_of(all_states)
        for update, group in zip(self._groups, groups, strict=True):
            if update.read(group):
                return False
            if not (update.gather(group) and update.fits(all_states, version)):
                return False
        return True

    def _step_generally(
        self,
        groups: Sequence[Mapping[str, Any]],
        all_states: states.States,
        watch: SilentFailures,
        unscaled: Callable[[], Finer] | None,
    ) -> None:
        """Steps groups of any kind, each by its fast path where that fits, and prepares the next steps."""
        with torch.no_grad(), on_cpu_by_default():
            watched = self._gather(groups, all_states, watch, unscaled)
            for job, known in self._jobs(all_states):
                job.end(carry_out(job.program, job.rows, job.values, known))
            told = [update.prepare(all_states) for update in self._groups]
            for update in self._groups:
                update.finish()
            if watched:
                watch.after(groups, watched, all_states)
        for sentence in filter(None, told):
            tell(class_name(self._recipe), SlowStep, sentence)

    def _jobs(self, all_states: states.States) -> Iterator[tuple[Any, Any]]:
        """Each group's jobs, begun, with what they share. Without that, one begins once the one before has ended."""
        if not any(update.reading.shares for update in self._groups):
            for update in self._groups:
                for job in update.jobs(all_states):
                    job.begin()
                    yield job, None
            return
        jobs = [job for update in self._groups for job in update.jobs(all_states)]
        for job in jobs:
            job.begin()
        yield from zip(jobs, measure_shared(jobs), strict=True)

    def _gather(
        self,
        groups: Sequence[Mapping[str, Any]],
        all_states: states.States,
        watch: SilentFailures,
        unscaled: Callable[[], Finer] | None,
    ) -> list[Mapping[str, Any]]:
        """Gathers and checks what each group steps. Returns each one's values while silent failures are watched for."""
        updates, version, finer = self._groups, self._version_of(all_states), NONE_FINER
        for update, group in zip(updates, groups, strict=True):
            update.read(group)
            update.gather(group)
        if unscaled:
            for update in updates:
                update.check(all_states, version)
            finer = unscaled()
            for update, group in zip(updates, groups, strict=True):
                update.gather(group)
        for update in updates:
            update.transform(finer)
        for update in updates:
            update.check(all_states, version)
        watched = [] if watch.done else [update.values for update in updates]
        if watched:
            watch.before(groups, watched, all_states)
        return watched

    def _version_of(self, all_states: states.States) -> int:
        """A number that changes whenever a parameter has another state dict than at the last step."""
        owned = [*all_states, *all_states.values()]
        if not (all_states is self._states and len(owned) == len(self._owned) and all(map(is_, owned, self._owned))):
            self._states, self._owned, self._version = all_states, owned, self._version + 1
        return self._version


class ParamGroupStep:
    """Steps one param group. Caches the fast paths of earlier steps."""

    def __init__(self, recipe: Recipe, number: int) -> None:
        self._recipe, self.reading = recipe, Reading(recipe, number)
        self._prepared: FastPath | None = None
        self._patterns: dict[Sequence[int], FastPath] = {}
        self._general: Work | None = None
        self._anew = self._many = 0
        self._params: list[Tensor] = []
        self._gradients: list[Tensor] = []
        self._places: Sequence[int] = ()
        self._obstacle = ""

    @property
    def values(self) -> Mapping[str, Any]:
        """The hyperparameters, as plain numbers."""
        return self.reading.values

    def read(self, group: Mapping[str, Any]) -> bool:
        """Reads the hyperparameters. Raises as `Reading`.

        Returns whether the step must look at whole gradients before it: it transforms them, or all groups share a norm.
        """
        self.reading.update(group)
        return self.reading.transforms or self.reading.shares

    def gather(self, group: Mapping[str, Any]) -> bool:
        """Collects the group's parameters with a gradient, and the gradients. Returns whether these are all plain."""
        self._group, params = group, group["params"]
        if type(params) is not list:
            params = [*params]
        gradients, self._places = [*map(_gradient, params)], range(len(params))
        plain = {*map(type, gradients)} <= PLAIN
        if not plain:
            self._places = tuple(i for i, g in enumerate(gradients) if g is not None)
            params, gradients = [params[i] for i in self._places], [gradients[i] for i in self._places]
            plain = {*map(type, gradients)} <= PLAIN
        self._params, self._gradients = params, gradients
        return plain

    def transform(self, finer: Finer) -> None:
        """Replaces gathered gradients by finer ones, and applies whole-tensor transforms, where there are any."""
        if finer:
            self._gradients = [finer.get(p, g) for p, g in zip(self._params, self._gradients, strict=True)]
        if self.reading.transforms:
            gradients = [*map(sparse.coalesced, self._gradients)]
            self._gradients = self._transformed(self._params, gradients)

    def _transformed(self, params: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        self._require_readable(params, gradients)
        values = self.reading.values
        return [
            transform_gradient(self.reading.structure, g, p.detach(), values)
            for p, g in zip(params, gradients, strict=True)
        ]

    def fits(self, all_states: states.States, version: int) -> bool:
        """Whether a prepared fast path fits the gathered gradients, all plain. version: of the state dicts."""
        of, ready = self.reading, self._patterns.get(self._places)
        same = ready and ready.serves(of.structure, of.precision)
        if not (ready and same and ready.fits(all_states, version, self._params, self._gradients)):
            return False
        self._prepared, self._general, self._anew = ready, None, 0
        return True

    def check(self, all_states: states.States, version: int) -> None:
        """Selects the prepared fast path if it fits; else checks and creates what the general path needs.

        version: of the state dicts. Raises `InputError` where a parameter cannot be stepped as it is.
        """
        plain = not dispatch.watched() and {*map(type, self._gradients)} <= PLAIN
        if plain and self.fits(all_states, version):
            return
        if self._places in self._patterns or len(self._group["params"]) != self._many:
            self._patterns.clear()  # their tensors are no longer used
        self._prepared, self._many = None, len(self._group["params"])
        self._require_dense(self._gradients)
        reading = self.reading
        sharded.require_whole(self._params, reading.precision)
        self._gradients = [*map(sparse.coalesced, self._gradients)]
        needs = Needs(reading.structure, reading.values, reading.precision)
        self._general = Work(class_name(self._recipe), needs, self._params, self._gradients, self._places)
        general_path.require(self._general, self._group, all_states)

    @property
    def prepared(self) -> FastPath:
        """The fast path that fits, with the hyperparameters of this step."""
        job = self._prepared
        assert job is not None
        job.hyperparameters, job.readings = self.reading.values, self.reading.ahead
        return job

    def jobs(self, all_states: states.States) -> Sequence[Any]:
        """What steps the parameters that were gathered and checked: the fast path if it fits."""
        if self._general is None:
            return (self.prepared,)
        jobs, self._obstacle = general_path.jobs(self._general, all_states)
        return jobs

    def finish(self) -> None:
        """Ends the step: autograd notices one between a forward pass and its backward pass."""
        increment_version(self._params)
        self._params, self._gradients, self._general = [], [], None

    def release(self) -> None:
        """Drops the references to what was gathered."""
        self._params, self._gradients, self._general = [], [], None

    def prepare(self, all_states: states.States) -> str:
        """After a general step, prepares the fast path for the next. Returns the text of a `SlowStep`, or nothing."""
        work = self._general
        if work is None:
            return ""
        if self._obstacle:
            return f"{self._obstacle}, so torch's operators make its step, at several times its cost."
        self._anew += 1
        reason = self._prepare(work, all_states) if self._params and not dispatch.watched() else ""
        if not reason and self._anew == PATIENCE:
            reason = "which parameters have a gradient, or where and how they lie in memory, changes at each step"
        return reason and f"{reason}, so that each step is prepared anew, at several times its cost."

    def _prepare(self, work: Work, all_states: states.States) -> str:
        """Prepares the fast path. Returns why it cannot; empty if it did, or for sparse gradients."""
        if len(self._patterns) == PATTERNS:
            self._patterns.clear()
        try:
            self._patterns[self._places] = FastPath(work, all_states)
        except Unsuited as reason:
            return str(reason)
        return ""

    def _require_readable(self, params: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Checks gradients that are read before the step's own checks. Raises `InputError` as these do."""
        self._require_dense(gradients)
        for place, p, g in zip(self._places, params, gradients, strict=True):
            fitting.require_gradient(fitting.NamedParameter.of(class_name(self._recipe), self._group, place, p), g)

    def _require_dense(self, gradients: Sequence[Tensor]) -> None:
        if any(g.is_sparse for g in gradients):
            eight = self.reading.precision.state_dtype == "8bit"
            sparse.require(class_name(self._recipe), self.reading.structure, in_8_bits=eight)
