"""Schedules: values of a hyperparameter as functions of the step.

In Python `cosine(1e-3, warmup="5%")`, as text `parse("cosine(1e-3, warmup=5%)")`. `Scheduler`, which loads torch, has
any torch optimizer follow them.
"""

from typing import TYPE_CHECKING, Any

from thalweg.schedules.annealing import cosine, linear, polynomial
from thalweg.schedules.composition import chain, join, scale, warmup
from thalweg.schedules.cycles import cosine_restarts, cyclic
from thalweg.schedules.decays import (
    constant,
    exponential,
    inverse_sqrt,
    inverse_time,
    piecewise,
    power,
    step,
)
from thalweg.schedules.one_cycle import one_cycle, one_cycle_momentum
from thalweg.schedules.parsing import parse, parse_schedule
from thalweg.schedules.plateau import Performance, PlateauState, performance
from thalweg.schedules.schedule import Schedule, as_schedule
from thalweg.schedules.traps import FirstStepAtZero, FloorOfAnotherGroup, NegativeTail, RisingTail, ScheduleWarning
from thalweg.schedules.wsd import wsd

if TYPE_CHECKING:
    from thalweg.schedules.scheduler import Scheduler

__all__ = [
    "FirstStepAtZero",
    "FloorOfAnotherGroup",
    "NegativeTail",
    "Performance",
    "PlateauState",
    "RisingTail",
    "Schedule",
    "ScheduleWarning",
    "Scheduler",
    "as_schedule",
    "chain",
    "constant",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "exponential",
    "inverse_sqrt",
    "inverse_time",
    "join",
    "linear",
    "one_cycle",
    "one_cycle_momentum",
    "parse",
    "parse_schedule",
    "performance",
    "piecewise",
    "polynomial",
    "power",
    "scale",
    "step",
    "warmup",
    "wsd",
]


def __getattr__(name: str) -> Any:
    if name == "Scheduler":
        from thalweg.schedules.scheduler import Scheduler

        return Scheduler
    raise AttributeError(f"module 'thalweg.schedules' has no attribute {name!r}")
