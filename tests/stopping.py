"""Training that is told to stop between two steps."""

from pathlib import Path
from typing import Any

import pytest

from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.stop import StopTraining, TrainingControl
from thalweg.population.updates.members import Member


def stopped(planned_job: PlannedJob, chosen: list[Member], folder: Path, after: int) -> None:
    """Trains until so many steps are behind, and is told to stop as by Ctrl-C."""
    steps, check, ended = 0, TrainingControl.check, False

    def counting(self: TrainingControl, state: Any) -> None:
        nonlocal steps, ended
        steps += 1
        if steps > after:
            self.stop.set()
        try:
            check(self, state)
        except StopTraining:
            ended = True
            self.measured(0, [None] * len(state.__self__.members))  # wakes whoever waits for news
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingControl, "check", counting)
        events = train(planned_job, chosen, checkpoints=Checkpoints(folder))
        assert any(ended for _ in events), "it had ended before"
        events.close()
