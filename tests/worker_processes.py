"""Worker processes in place of threads: the plan and the job travel, programs are made where they run."""

import multiprocessing
import pickle
from collections.abc import Callable
from multiprocessing.queues import Queue
from typing import Any

import torch

from thalweg.population.engine.task import Task, Told
from thalweg.population.planning.planned_job import PlannedJob, planned_elsewhere

FRESH = multiprocessing.get_context("forkserver")  # whose server has imported the package, and trained nothing
FRESH.set_forkserver_preload(["thalweg.population.engine.task", "thalweg.studies.study", "torch.optim"])
ALONE = 60.0  # seconds for which a worker that has nothing to do waits


class Processes:
    """`Workers` in processes that are started anew, with nothing of this one's memory."""

    def __init__(self, planned_job: PlannedJob) -> None:
        self._tasks: Queue[Any] = FRESH.Queue()
        self._told: Queue[Any] = FRESH.Queue()
        self._stop = FRESH.Event()
        held = pickle.dumps((planned_job.job, planned_job.plan))
        arguments = (held, self._tasks, self._told, self._stop)
        self._all = [FRESH.Process(target=_serve, args=arguments) for _ in range(planned_job.plan.workers)]
        for process in self._all:
            process.start()

    def submit(self, task: Task) -> None:
        self._tasks.put(pickle.dumps(task))

    def next(self) -> Told:
        told: Told = pickle.loads(self._told.get(timeout=ALONE))
        return told

    def close(self) -> None:
        self._stop.set()
        for _ in self._all:
            self._tasks.put(None)
        for process in self._all:
            process.join()


def _serve(held: bytes, tasks: Any, told: Any, stop: Any) -> None:
    torch.set_num_threads(1)
    told.cancel_join_thread()  # nobody reads what is told after the end
    tell: Callable[[Told], None] = lambda message: told.put(pickle.dumps(message))  # noqa: E731
    job, plan = pickle.loads(held)
    planned_job = planned_elsewhere(job, plan, seed=1)
    while (task := tasks.get()) is not None and not stop.is_set():
        pickle.loads(task).carry_out(planned_job, tell, stop)
