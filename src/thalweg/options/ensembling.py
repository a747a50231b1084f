"""The options of an ensemble and of a distillation: those of a comparison that they share, and their own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from thalweg.options import declared
from thalweg.options.comparison import COMPARISON
from thalweg.options.declared import Option
from thalweg.options.kinds import Flag, Folder, OneLine, OneOf
from thalweg.options.ranges import POSITIVE, Range, whole

OPTIMIZER = Option(
    "optimizer", OneLine(), "adam", 'Optimizer, such as "adam" or "sgd(momentum=0.9)"', panel=declared.COMPARED,
    metavar="NAME",
)  # fmt: skip
LEARNING_RATE = Option(
    "learning_rate", POSITIVE, None, "Its learning rate", optional=True, panel=declared.COMPARED,
    unset="the optimizer's default",
)  # fmt: skip
SCHEDULE = Option(
    "schedule", OneLine(), None, 'Learning-rate schedule, such as "cosine(warmup=5%)"', optional=True,
    panel=declared.COMPARED, metavar="SCHEDULE", unset="constant",
)  # fmt: skip
MEMBERS = Option("members", whole(2, 1000), 10, "Models of the ensemble", panel=declared.COMPARED)
SNAPSHOTS = Option(
    "snapshots", Flag(), False, "Take the members from one run, at the end of each cycle of a cosine",
    panel=declared.COMPARED,
)  # fmt: skip
AVERAGE = Option("average", OneOf(("probabilities", "logits")), "probabilities", "What is averaged over members",
                 panel=declared.COMPARED)  # fmt: skip
SAVE = Option("save", Folder(), None, "Directory for the models, as .safetensors files", optional=True)

STUDENT = Option(
    "student", OneLine(), None, 'Student: "hidden=50" or "hidden=100x50", or file.py:factory; the workload\'s model',
    optional=True, panel=declared.COMPARED, metavar="MODEL", unset="the workload's model",
)  # fmt: skip
TEACHERS = Option("teachers", whole(1, 1000), 10, "Models of the teacher, an ensemble", panel=declared.COMPARED)
TEMPERATURE = Option(
    "temperature", POSITIVE, 20.0, "Temperature of the softened probabilities", panel=declared.TRAINING
)
WEIGHT = Option(
    "weight", Range(0.0, 1.0), 0.9, "Weight of the teacher's part of the loss; the labels have the rest",
    panel=declared.TRAINING,
)  # fmt: skip
LABELS = Option(
    "labels", whole(1, 10**9), None, "Samples that keep their label; students see the others without", optional=True,
    panel=declared.DATA, unset="all",
)  # fmt: skip

TEACHER = Option(
    "teacher", OneLine(), None, "Teacher in place of training one: a directory of thalweg ensemble --save, or"
    " file.py:name of models", optional=True, panel=declared.COMPARED, metavar="MODELS", unset="one is trained",
)  # fmt: skip
TRANSFER = Option(
    "transfer", OneLine(), None, "Further samples without labels for distilled students: a .npy file, or file.py:name",
    optional=True, panel=declared.DATA, metavar="SAMPLES",
)  # fmt: skip

TRAINING = ("convention", "base_seed", "epochs", "steps", "batch_size", "clip_norm", "memory", "progress", "out")
PLACE = ("device", "data_dir", "tag", "checkpoint_every")
_SHARED: Mapping[str, Option] = {
    **{name: COMPARISON[name] for name in (*TRAINING, *PLACE)},
    "base_seed": replace(COMPARISON["base_seed"], help="First seed"),
}

ENSEMBLE: Mapping[str, Option] = {
    of.name: of for of in (MEMBERS, OPTIMIZER, LEARNING_RATE, SCHEDULE, SNAPSHOTS, AVERAGE, SAVE)
} | dict(_SHARED)
"""The options by name, in the order of `thalweg.ensemble`."""

DISTILLATION: Mapping[str, Option] = {
    of.name: of
    for of in (
        STUDENT, TEMPERATURE, WEIGHT, TEACHERS, TEACHER,
        replace(COMPARISON["seeds"], default=5, help="Students of each kind"),
        LABELS, TRANSFER, OPTIMIZER, LEARNING_RATE, SCHEDULE, SAVE,
    )
} | dict(_SHARED)  # fmt: skip
"""The options by name, in the order of `thalweg.distill`."""


@dataclass(frozen=True)
class EnsembleSettings:
    """What an ensemble is made of. members: models. snapshots: whether all come from one run. average: of what."""

    members: int
    snapshots: bool
    average: Any


OBJECTS = ("optimizer", "schedule", "student", "teacher", "transfer")
"""Options that are texts on the command line, and in Python also objects, which are checked where they are read."""


def checked(options: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """The parsed value of every option. Raises `InputError` for the first that is invalid."""
    is_object = {name: name in OBJECTS and not isinstance(given[name], str) for name in options}
    return {name: given[name] if is_object[name] else option.check(given[name]) for name, option in options.items()}
