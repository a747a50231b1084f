"""Training of a plan's members, to the end or until it is told to stop between two steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from thalweg.population.engine.task import MembersFinished
from thalweg.population.engine.train import train
from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.training.checkpoints import Checkpoints
from thalweg.population.training.stop import StopTraining, TrainingControl
from thalweg.population.updates.members import Member, Trained


def outcomes(planned_job: PlannedJob, chosen: Sequence[Member], **options: Any) -> list[Trained]:
    found: dict[int, Trained] = {}
    for event in train(planned_job, chosen, **options):
        found |= event.outcomes if isinstance(event, MembersFinished) else {}
    return [found[i] for i in range(len(chosen))]


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
