"""How a contender's optimizer is made in Python, described so that a study can print it without importing it."""

from collections.abc import Mapping
from typing import Any

from thalweg.recipes.catalogue import Recipe, recipes
from thalweg.recipes.imported import Imported
from thalweg.rules.contract import Preset
from thalweg.schedules import Schedule
from thalweg.studies.contenders import Contender
from thalweg.studies.scheduled import is_named

TORCH = {
    "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD",
}  # fmt: skip
"""Classes of `torch.optim` that take the steps of our class of the same name, for the arguments that both have."""


def call_of(contender: Contender, *, grouped: bool) -> dict[str, Any]:
    """Plain data from which `analysis.code` writes a call.

    name: of what is called, `thalweg.optim.Adam`. torch: of torch's class that is the same, or `None`. defaults: the
    arguments that it has when none are given, under our names. values: those that this contender sets apart from what
    is tuned. tuples: tuple arguments → the hyperparameters in them. rate: the name of its learning rate.
    rate_is_step: whether that is the size of the steps all along. grouped: whether the workload gives single parameters
    hyperparameters of their own. follows: whether it has a schedule, which `thalweg.schedules.Scheduler` makes of its
    text; not of a user's function, whatever its name, nor of one that follows a metric. others: whether AdamW steps the
    parameters that are no hidden matrices. averages: whether it is evaluated at averaged weights, whatever its
    hyperparameters. undecayed: penalties of weights alone. model: arguments that the model's factory was given. stops:
    the regularizer, if it ends runs early. unwritable: hyperparameters that no argument sets, but a param group's key.
    """
    recipe = contender.recipe
    follows = isinstance(contender.schedule, Schedule) and is_named(contender.schedule)
    about = {"rate": recipe.rate, "grouped": grouped, "follows": follows}
    if isinstance(recipe, Imported):
        name = recipe.path.replace(":", ".")
        clip = {"clip_global_norm": recipe.clip_global_norm} if recipe.clip_global_norm else {}
        defaults = {name: value for name, value in recipe.defaults.items() if _plain(value)}
        return {
            **about,
            "name": name,
            "torch": None,
            "defaults": defaults,
            "values": {},
            "tuples": {},
            "clip": clip,
            **_model(contender),
        }
    owner = _class_of(recipe)
    defaults = {**Recipe(owner, recipe.convention).defaults, "convention": "torch"}
    values = {**recipe.defaults, "convention": recipe.convention}
    mine = {name: value for name, value in values.items() if value != defaults.get(name, value) and _plain(value)}
    return {
        **about,
        "name": _name(owner),
        "torch": _torch(owner),
        "defaults": {name: value for name, value in defaults.items() if _plain(value)},
        "values": mine,
        "tuples": {name: list(members) for name, members in recipe.rule.tuple_arguments.items()},
        "rate_is_step": recipe.rule.rate_is_step,
        "others": bool(recipe.rule.others),
        "averages": recipe.rule.evaluated is not None,
        **({"undecayed": list(recipe.weights_only)} if recipe.weights_only else {}),
        **({"stops": str(contender.regularizer)} if contender.early_stopping is not None else {}),
        **_model(contender),
        "unwritable": [name for name, h in recipe.hyperparameters.items() if h.initially],
    }


def _model(contender: Contender) -> dict[str, Any]:
    return {"model": contender.arguments} if contender.arguments else {}


def _class_of(recipe: Recipe) -> Preset:
    """The preset whose drop-in class takes a recipe's steps: its own, or another one's of the same rule."""
    if recipe.drop_in is not None:
        return recipe.preset
    same = (r.preset for r in recipes().values() if r.drop_in is not None and r.rule is recipe.rule)
    return next(same, recipe.preset)


def _name(preset: Preset) -> str:
    known = recipes().get(preset.name)
    if known is not None and known.preset is preset and preset.drop_in is not None:
        return f"thalweg.optim.{preset.drop_in.name}"
    where = "" if preset.module in ("", "__main__") else f"{preset.module}."
    return f"thalweg.optim.drop_in({where}{preset.name})"


def _torch(preset: Preset) -> str | None:
    name = _name(preset).removeprefix("thalweg.optim.")
    return f"torch.optim.{name}" if name in TORCH else None


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def calls(contenders: Mapping[str, Contender], *, grouped: bool) -> dict[str, dict[str, Any]]:
    """Label → the call of each contender."""
    return {label: call_of(contender, grouped=grouped) for label, contender in contenders.items()}
