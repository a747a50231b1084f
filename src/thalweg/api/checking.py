"""`check`: what is known of a problem before optimizers are compared on it."""

import os
from typing import Any

from thalweg.api.requirements import problem, require_plain_context, usable
from thalweg.options.calls import by_name
from thalweg.options.comparison import COMPARISON, ComparisonOptions
from thalweg.studies import contenders as entries
from thalweg.studies.checkup import Fact, checkup
from thalweg.studies.design import Design
from thalweg.studies.preparation import prepare
from thalweg.studies.protocol import TEXTBOOK
from thalweg.workloads.catalogue import load


@by_name("check")
def check(
    workload: Any,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    device: str = "cpu",
    data_dir: str | os.PathLike[str] | None = None,
) -> list[Fact]:
    """Checks a workload as a comparison of the textbooks' optimizers would, and returns the facts.

    They say what the model and the data are, how the loss begins beside that of a constant answer, whether a single
    batch can be learned by heart, how runs are trained and why not faster, and what a comparison would take.

    Args:
        workload: as `compare` takes it.
        epochs, steps: in place of the workload's own.
        device: as `compare` takes it.
        data_dir: directory of a built-in workload's files.

    Raises:
        InputError: the workload cannot be found or does not run.
    """
    given = {"epochs": epochs, "steps": steps, "device": device, "data_dir": data_dir}
    asked = {name: COMPARISON[name].check(value) for name, value in given.items()}
    require_plain_context()
    whole = load(workload, asked["data_dir"]) if isinstance(workload, str) else workload
    trained = problem(whole, asked["epochs"], asked["steps"])
    design = Design(entries.contenders(TEXTBOOK), **{**ComparisonOptions().part("design"), "tune": ()})
    return checkup(prepare(design, trained, usable(asked["device"]), budget=None, shown=True))
