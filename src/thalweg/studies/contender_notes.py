"""Notes for a study's record that follow from its contenders."""

from collections.abc import Sequence

from thalweg.errors import listed
from thalweg.recipes.imported import Imported
from thalweg.studies.contenders import Contender


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
