"""Options, each declared once: name, range or choices, default, meaning. Those of a comparison: `options.comparison`.

`Workload` validates its arguments by these declarations, and the command line takes its parsing, its defaults and its
help from them. Nothing here imports torch.
"""

from dataclasses import dataclass
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.options.kinds import File, Flag, Folder, Kind, OneLine, OneOf, Settings
from thalweg.options.ranges import Range, whole

COMPARED, DATA, COST, TRAINING, OUTPUT = PANELS = (
    "What to compare", "Data and model", "Budget", "Training", "Output",
)  # fmt: skip
"""The groups of options in the help, in its order."""


@dataclass(frozen=True)
class Option:
    """One option. `optional`: whether `None` is valid. `otherwise`: a word that is valid, too.

    For the command line: more: a sentence after its help. written: its default there, where that is another.
    textbook: whether a textbook's comparison sets it, so that `thalweg example` does not take it. panel: its group in
    the help. unset: what is done without it, in words. metavar: its value in the help, if not by its kind.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    optional: bool = False
    otherwise: str | None = None
    more: str = ""
    written: Any = None
    textbook: bool = False
    panel: str = OUTPUT
    unset: str = ""
    metavar: str = ""

    @property
    def described(self) -> str:
        """The help and the range: `"Tuning seeds (1 to 1,000)."`"""
        return f"{self.help} ({self.kind.range})." if self.kind.range else f"{self.help}."

    @property
    def accepted(self) -> str:
        """The valid values in the words of an error message: `'a whole number from 1 to 9, or "epoch"'`."""
        return f'{self.kind.accepted}, or "{self.otherwise}"' if self.otherwise else self.kind.accepted

    def check(self, value: Any) -> Any:
        """Parses `value`. Raises `InputError` with name, range and value if it is invalid."""
        if value is None and self.optional:
            return value
        word = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(word, str) and word == self.otherwise:
            return word
        read = self.kind.read(value)
        if read is None:
            raise InputError(f"{self.name} must be {self.accepted}, got {shown(value)}.")
        return read


CONVENTIONS = ("torch", "keras", "optax", "paper")
"""Sources of an optimizer's formula and defaults. The first is the default, and means ours if torch has none."""

MOST_SEEDS = 1000  # the offset of confirmation seeds from tuning seeds: with more, they would overlap
MOST_STEPS = 10**9

STOPPING = Settings(
    {"patience": whole(1, MOST_STEPS), "least_improvement": Range(0.0)},
    {"least_improvement": 0.0},
    '"patience=5" or "patience=5,least_improvement=0.001"',
)

# Of a stored study.
DIRECTORY = "thalweg-out"
"""Where the command line stores studies unless told otherwise."""

STORE = Option("out", Folder(), None, "Directory of the studies")
STUDY = Option("study", whole(1), None, "The study's ID; the newest if not given", optional=True)

# Of the command line only.
VERBOSE = Option("verbose", Flag(), False, "Log every message, with the time")
QUIET = Option("quiet", Flag(), False, "Print only errors, the verdict and the report's path")
OPEN = Option("open", Flag(), False, "Open the report in the browser")
JSON = Option("json", File(), None, "Also write the results to this file, as JSON", optional=True)

# Of a workload; `epochs` and `steps` of a comparison replace the workload's own.
NAME = Option("name", OneLine(), None, "How reports call it")
BATCH_SIZE = Option("batch_size", whole(1, 10**9), 32, "Samples per step")
DROP_LAST = Option("drop_last", Flag(), False, "Leave out an epoch's short last batch")
ACCUMULATE = Option("accumulate", whole(1, 10**6), 1, "Batches whose mean gradient makes a step")
FULL, MIXED = "float32", "bf16"
PRECISION = Option("precision", OneOf((FULL, MIXED)), FULL, "What the model computes in")
EPOCHS = Option("epochs", whole(1, 10**6), 10, "Passes over the training data")
STEPS = Option("steps", whole(1, MOST_STEPS), None, "Optimizer steps of a run, in place of epochs", optional=True)
EVALUATE_EVERY = Option(
    "evaluate_every", whole(1, MOST_STEPS), "epoch", "Steps between measurements", otherwise="epoch"
)
TARGET = Option("target", Range(), None, "Value of the metric that counts as reached", optional=True)
