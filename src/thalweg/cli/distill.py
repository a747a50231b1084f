"""`thalweg distill WORKLOAD`."""

from typing import Any

from thalweg.cli import session
from thalweg.cli.ensemble import ASKED, WorkloadName, prepare
from thalweg.errors import counted
from thalweg.options.ensembling import DISTILLATION


@session.taking([*DISTILLATION.values(), *ASKED])
def distill(workload: WorkloadName, **options: Any) -> None:
    """Train students on a teacher's softened probabilities, and on labels; say what the teacher is worth to them."""
    what = f"a teacher of {counted(options['teachers'], 'model')}, {counted(2 * options['seeds'], 'student')}"
    prepare(workload, what, options)
    import thalweg

    session.run_new_study(lambda **asked: thalweg.distill(workload, **asked), **options)
