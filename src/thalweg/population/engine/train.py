"""Training members on worker threads: one sub-population a core at a time, results as they come."""

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
from thalweg.population.program.failures import Disagreement, exhausted, users_fault
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.loop import train_by_loop
from thalweg.population.training.stop import StopTraining, TrainingControl
from thalweg.population.training.vectorized import train_vectorized
from thalweg.population.updates.members import Member, Trained


@dataclass(frozen=True)
class Measured:
    """So many runs finished one more epoch."""

    runs: int


@dataclass(frozen=True)
class Finished:
    """These members are trained: index among the members → outcome."""

    outcomes: dict[int, Trained]


@dataclass(frozen=True)
class _Halved:
    """These members cannot train at once: parts of them come in their place.

    For want of memory or by a fault of one, halves; because the program is not what the model does, each by the loop.
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
    """Trains all members but those `done`, yielding progress and outcomes as they come, in no promised order.

    Members train with those that they would train with if none were done: the same numbers to the last bit.
    Closing the iterator stops training at the next step. The thread count is left as it was found.
    live: whether populations are held to the live model through their first epoch.
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
    """Cores are taken by sub-populations, so operators inside one use a single thread."""
    torch.set_num_threads(1)


def _work(
    plan: Plan,
    part: list[int],
    members: list[Member],
    watch: TrainingControl,
    events: "queue.SimpleQueue[_Event]",
) -> None:
    try:
        with np.errstate(all="ignore"):  # what overflows is found where it diverges
            outcomes = _trained(plan, members, watch)
        events.put(Finished(dict(zip(part, outcomes, strict=True))))
    except StopTraining:
        pass
    except Disagreement as error:
        plan.distrust(str(error))
        watch.checkpoint.discard()  # that of the population
        events.put(_Halved(tuple([i] for i in part)))
    except InputError as error:
        events.put(error)
    except BaseException as error:  # SystemExit too: whoever waits for this part must hear of it
        events.put(_instead(plan, part, members, watch, error))


def _trained(plan: Plan, members: list[Member], watch: TrainingControl) -> list[Trained]:
    if plan.why_loop or members[0].alone:
        return [train_by_loop(plan.job, m, watch, m.alone or plan.why_loop) for m in members]
    program = plan.shared if len({m.seed for m in members}) == 1 else plan.mixed
    return train_vectorized(plan.job, members, program, watch)


def _instead(
    plan: Plan, part: list[int], members: list[Member], watch: TrainingControl, error: BaseException
) -> _Event:
    """What comes of members that could not train at once: halves, and in the end the one whose fault it was."""
    if len(part) > 1:
        middle = len(part) // 2
        return _Halved((part[:middle], part[middle:]))
    if exhausted(error):
        return InputError("There is not enough memory for a single run: free some, or make the model or batch smaller.")
    if plan.why_loop or members[0].alone:
        return users_fault(plan.job.workload, error)
    watch.checkpoint.discard()  # that of the population
    try:
        return Finished({part[0]: train_by_loop(plan.job, members[0], watch, "it failed in a population")})
    except BaseException as again:
        return users_fault(plan.job.workload, again)
