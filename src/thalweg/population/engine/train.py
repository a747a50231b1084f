"""Training of members on worker threads: one sub-population per core at a time, results as they finish."""

import queue
import threading
from collections.abc import Collection, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace

import numpy as np
import torch

from thalweg.errors import InputError
from thalweg.population.planning.plan import Plan
from thalweg.population.program.failures import Disagreement, ReturnValueError, exhausted, users_fault
from thalweg.population.program.late_draws import DrawsLate
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.plain import train_by_loop
from thalweg.population.training.stop import StopTraining, TrainingControl
from thalweg.population.training.vectorized import train_vectorized
from thalweg.population.updates.members import Member, Trained


@dataclass(frozen=True)
class Measured:
    """Progress: `runs` runs finished one more epoch."""

    runs: int


@dataclass(frozen=True)
class Finished:
    """Outcomes of trained members, by index among the members."""

    outcomes: dict[int, Trained]


@dataclass(frozen=True)
class _Halved:
    """Members that cannot train at once, split into `parts` that replace them.

    Halves after a lack of memory or an error of one member; single members, for the loop, after a `Disagreement`.
    """

    parts: tuple[list[int], ...]


NOWHERE = Checkpoints()
_Event = Measured | Finished | _Halved | Exception


def train(
    plan: Plan,
    members: Sequence[Member],
    done: Collection[int] = (),
    checkpoints: Checkpoints = NOWHERE,
    *,
    live: bool = True,
) -> Generator[Measured | Finished, None, None]:
    """Trains all members but those `done`, yielding progress and outcomes as they come, in no guaranteed order.

    Members are grouped as if none were done, which keeps results bit-identical. Closing the iterator stops training at
    the next step. torch's thread count is restored.
    live: whether populations are compared with the live model during their first epoch.
    """
    events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
    watch = TrainingControl(lambda runs: events.put(Measured(runs)), threading.Event(), live=live)
    whole = [[i for i in part if i not in done] for part in plan.populations(members)]
    parts = [part for part in whole if part]
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(plan.workers, "thalweg", _one_thread)
    try:
        events.put(_Halved(tuple(parts)))
        left = 1
        while left:
            event = events.get()
            if isinstance(event, Exception):
                raise event
            if isinstance(event, _Halved):
                left += len(event.parts) - 1
                for part in event.parts:
                    chosen = [members[i] for i in part]
                    own = replace(watch, checkpoint=checkpoints.of(part, chosen))
                    pool.submit(copy_context().run, _work, plan, part, chosen, own, events)
            else:
                left -= isinstance(event, Finished)
                yield event
    finally:
        watch.stop.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _one_thread() -> None:
    """Limits operators to one thread each: sub-populations occupy the cores."""
    torch.set_num_threads(1)


def _work(
    plan: Plan,
    part: list[int],
    members: list[Member],
    watch: TrainingControl,
    events: "queue.SimpleQueue[_Event]",
) -> None:
    try:
        with np.errstate(all="ignore"):  # overflow is detected as divergence
            outcomes = _trained(plan, members, watch)
        events.put(Finished(dict(zip(part, outcomes, strict=True))))
    except StopTraining:
        pass
    except Disagreement as error:
        plan.distrust(str(error))
        watch.checkpoint.discard()  # the population's
        events.put(_Halved(tuple([i] for i in part)))
    except InputError as error:
        events.put(_instead(plan, part, members, watch, error) if isinstance(error, ReturnValueError) else error)
    except DrawsLate:
        watch.checkpoint.discard()
        events.put(_Halved((part,)))  # once more
    except BaseException as error:  # SystemExit too: `train` waits for an event of every part
        events.put(_instead(plan, part, members, watch, error))


def _trained(plan: Plan, members: list[Member], watch: TrainingControl) -> list[Trained]:
    if plan.why_loop or members[0].alone:
        return [train_by_loop(plan.job, m, watch, m.alone or plan.why_loop) for m in members]
    program = plan.shared if len({m.seed for m in members}) == 1 else plan.mixed
    return train_vectorized(plan.job, members, program, watch)


def _instead(
    plan: Plan, part: list[int], members: list[Member], watch: TrainingControl, error: BaseException
) -> _Event:
    """The event for members that failed: halves; for a single member, its run by the loop, or the error."""
    if len(part) > 1:
        middle = len(part) // 2
        return _Halved((part[:middle], part[middle:]))
    if exhausted(error):
        return InputError("There is not enough memory for a single run: free some, or make the model or batch smaller.")
    if plan.why_loop or members[0].alone:
        return error if isinstance(error, InputError) else users_fault(plan.job.workload, error)
    watch.checkpoint.discard()  # the population's
    try:
        return Finished({part[0]: train_by_loop(plan.job, members[0], watch, "it failed in a population")})
    except BaseException as again:
        return again if isinstance(again, InputError) else users_fault(plan.job.workload, again)
