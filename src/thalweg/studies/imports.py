"""Trial steps of other libraries' optimizers on the workload, before training starts."""

from thalweg.population.planning.planned_job import PlannedJob
from thalweg.population.planning.trial import require_imported
from thalweg.recipes.imported import Imported
from thalweg.studies.design import Design


def require_imports(design: Design, planned: PlannedJob) -> None:
    """Raises `InputError` where a class does not take the model's parameters, or hides that it needs a closure."""
    for contender in design.contenders:
        if isinstance(contender.recipe, Imported):
            given = contender.configurations(design.learning_rates, design.per_decade)
            assert planned.models is not None, "before training"
            require_imported(planned.job, planned.models, contender.recipe, given, contender.label, design.base_seed)
