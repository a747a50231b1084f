"""What a study's record says of its contenders: notes, one sentence each, and hashes of what is the user's own."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from thalweg.errors import listed
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.imported import Imported
from thalweg.recipes.options import ADDED
from thalweg.schedules import Schedule
from thalweg.studies.contenders import Contender
from thalweg.studies.scheduled import functions_of
from thalweg.workloads.content import code_content

NORMS = ("max_norm", "min_norm", "unit_norm")

OWN = "own "
"""Begins the name of a content hash of what is the user's own in a contender; its label follows."""


def conventions(of: Sequence[Contender]) -> tuple[str, ...]:
    """One sentence per convention other than torch's that contenders follow."""
    whose = {"keras": "Keras's", "optax": "Optax's", "paper": "their papers'"}
    followed = {by: [c.label for c in of if c.convention == by] for by in whose}
    return tuple(
        f"{'All' if len(labels) == len(of) else ', '.join(labels)} follow{'s' * (len(labels) == 1 < len(of))}"
        f" {whose[by]} formulas and defaults."
        for by, labels in followed.items()
        if labels
    )


def closures(of: Sequence[Contender]) -> tuple[str, ...]:
    """A note where optimizers need a closure, so that steps differ in cost."""
    labels = [c.label for c in of if isinstance(c.recipe, Imported) and c.recipe.needs_closure]
    if not labels:
        return ()
    evaluate = "evaluates" if len(labels) == 1 else "evaluate"
    return (f"{listed(labels)} {evaluate} a batch several times in a step, and steps are what is counted.",)


def coupled_penalties(of: Sequence[Contender]) -> tuple[str, ...]:
    """A note where penalties are divided by the size of the gradients to which they are added."""
    labels = [
        c.label
        for c in of
        if c.regularizer is not None
        and isinstance(c.recipe, Recipe)
        and c.recipe.rule.scale_free
        and any(name in c.regularizer.values and name not in c.recipe.rule.hyperparameters for name in ADDED)
    ]
    if not labels:
        return ()
    return (
        f"The penalty of {listed(labels)} is added to the gradient, whose size the optimizer divides out again:"
        " decoupled weight decay (AdamW) and proximal-l1 act on all weights alike.",
    )


def units_of_inputs(of: Sequence[Contender], model: nn.Module) -> tuple[str, ...]:
    """A note where norms of units are limited in a model whose transposed convolutions have others."""
    labels = [c.label for c in of if isinstance(c.recipe, Recipe) and any(c.fixed.get(name) for name in NORMS)]
    layers = [name for name, m in model.named_modules() if isinstance(m, nn.modules.conv._ConvTransposeNd)]
    if not labels or not layers:
        return ()
    return (f"{listed(labels)}: the norms limited in {listed(layers)}, transposed, are of the weights of an input.",)


def own_schedules(of: Sequence[Contender]) -> tuple[str, ...]:
    """A note where the rates of contenders follow functions of the user's, which say what a rate is of."""
    labels = [c.label for c in of if isinstance(c.schedule, Schedule) and not c.schedule.arguments]
    if not labels:
        return ()
    return (f"The learning rate of {listed(labels)} is the largest of a run: the function is scaled by it.",)


def own_content(of: Sequence[Contender]) -> Mapping[str, str]:
    """Hashes of users' functions of schedules, rules, classes and functions that make an optimizer."""
    found = {f"{OWN}{c.label}": code_content(_functions(c)) for c in of}
    return {name: digest for name, digest in found.items() if digest}


def _functions(contender: Contender) -> list[Any]:
    """What may be the user's own in a contender."""
    recipe, schedule = contender.recipe, contender.schedule
    own = recipe.optimizer if isinstance(recipe, Imported) else recipe.rule.function
    return [own, *(functions_of(schedule) if isinstance(schedule, Schedule) else [])]
