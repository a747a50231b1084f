"""Worker threads: one task per core at a time."""

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import torch

from thalweg.population.engine.task import Task, Told
from thalweg.population.planning.planned_job import PlannedJob


class Threads:
    """The `Workers` of this process, by its programs. torch's thread count is restored by `close`."""

    def __init__(self, planned: PlannedJob) -> None:
        self._planned, self._stop = planned, threading.Event()
        self._told: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(planned.plan.workers, "thalweg", _one_thread)

    def submit(self, task: Task) -> None:
        self._pool.submit(copy_context().run, task.carry_out, self._planned, self._told.put, self._stop)

    def next(self) -> Told:
        return self._told.get()

    def close(self) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads)


def _one_thread() -> None:
    """Limits operators to one thread each: sub-populations occupy the cores."""
    torch.set_num_threads(1)
