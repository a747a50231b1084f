"""Training members on worker threads: one sub-population a core at a time, results as they come."""

import queue
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from thalweg.errors import InputError
from thalweg.population.alone import train_alone
from thalweg.population.job import StopTraining, Watch, exhausted, users_fault
from thalweg.population.members import Member, Trained
from thalweg.population.plan import Plan
from thalweg.population.together import train_together


@dataclass(frozen=True)
class Progress:
    """So many runs finished one more epoch."""

    runs: int


@dataclass(frozen=True)
class Finished:
    """These members are trained: index among the members → outcome."""

    outcomes: dict[int, Trained]


@dataclass(frozen=True)
class _Halved:
    """There was no memory for these members at once: two halves of them come in their place."""

    parts: tuple[list[int], ...]


_Event = Progress | Finished | _Halved | Exception


def train(plan: Plan, members: Sequence[Member]) -> Generator[Progress | Finished, None, None]:
    """Trains all members, yielding progress and outcomes as they come, in no promised order.

    Closing the iterator stops training at the next step. The thread count is left as it was found.
    """
    events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
    watch = Watch(lambda runs: events.put(Progress(runs)), threading.Event())
    parts = plan.populations(members)
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
                    pool.submit(_work, plan, part, [members[i] for i in part], watch, events)
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
    np.seterr(all="ignore")  # numpy's warnings: what overflows is found where it diverges


def _work(
    plan: Plan,
    part: list[int],
    members: list[Member],
    watch: Watch,
    events: "queue.SimpleQueue[_Event]",
) -> None:
    try:
        if plan.reason or members[0].alone:
            outcomes = [train_alone(plan.job, m, watch, m.alone or plan.reason) for m in members]
        else:
            program = plan.shared if len({m.seed for m in members}) == 1 else plan.mixed
            outcomes = train_together(plan.job, members, program, watch)
        events.put(Finished(dict(zip(part, outcomes, strict=True))))
    except StopTraining:
        pass
    except InputError as error:
        events.put(error)
    except BaseException as error:  # SystemExit too: whoever waits for this part must hear of it
        events.put(_halved(part) if exhausted(error) else users_fault(plan.job.workload, error))


def _halved(part: list[int]) -> _Halved | InputError:
    if len(part) == 1:
        return InputError("There is not enough memory for a single run: free some, or make the model or batch smaller.")
    middle = len(part) // 2
    return _Halved((part[:middle], part[middle:]))
