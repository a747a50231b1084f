"""Schedules: values of a hyperparameter as functions of the step."""

from thalweg.schedules.schedule import Schedule, as_schedule, parse
from thalweg.schedules.shapes import cosine, linear

__all__ = ["Schedule", "as_schedule", "cosine", "linear", "parse"]
