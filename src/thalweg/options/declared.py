"""Every option of a comparison and of a workload, declared once: name, range or choices, default, meaning.

`thalweg.compare` and `Workload` validate their arguments by these declarations, and the command line takes its
parsing, its defaults and its help from them. Nothing here imports torch.
"""

from dataclasses import dataclass
from typing import Any

from thalweg.errors import InputError, shown
from thalweg.options.kinds import File, Flag, Folder, Kind, Listed, OneLine, OneOf, Quantity, Settings
from thalweg.options.ranges import POSITIVE, Range, whole


@dataclass(frozen=True)
class Option:
    """One option. `optional`: whether `None` is valid. `otherwise`: a word that is valid, too."""

    name: str
    kind: Kind
    default: Any
    help: str
    optional: bool = False
    otherwise: str | None = None

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
        if (value is None and self.optional) or (isinstance(value, str) and value == self.otherwise):
            return value
        read = self.kind.read(value)
        if read is None:
            raise InputError(f"{self.name} must be {self.accepted}, got {shown(value)}.")
        return read


TIMES = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}  # in seconds
SIZES = {"mb": 1e6, "gb": 1e9, "mib": 2.0**20, "gib": 2.0**30}  # in bytes

CONVENTIONS = ("torch", "keras", "optax", "paper")
"""Sources of an optimizer's formula and defaults. The first is the default, and means ours if torch has none."""

MOST_SEEDS = 1000  # the offset of confirmation seeds from tuning seeds: with more, they would overlap
MOST_STEPS = 10**9

# Of a comparison.
OPTIMIZERS = Option(
    "optimizers", Listed("names or Contenders", 200), None, "Names; hyperparameters may be fixed", optional=True
)
LEARNING_RATES = Option(
    "learning_rates",
    Listed("positive finite numbers", 1000, POSITIVE),
    None,
    "Rates to try exactly, for every optimizer",
    optional=True,
)
SEEDS = Option("seeds", whole(1, MOST_SEEDS), 3, "Tuning seeds")
CONFIRM_SEEDS = Option(
    "confirm_seeds", whole(0, MOST_SEEDS), 5, "Fresh seeds for the choice and the defaults; 0 ranks by validation"
)
BASE_SEED = Option("base_seed", whole(0, 2**31 - 1), 0, "The first tuning seed")
CONVENTION = Option(
    "convention", OneOf(CONVENTIONS), CONVENTIONS[0], "Whose formulas and defaults optimizers follow unless they say"
)
TUNE = Option(
    "tune",
    Listed("hyperparameters' names such as 'lr' and 'beta1'", 100, OneLine()),
    None,
    "Hyperparameters to search",
    optional=True,
)
TRIALS = Option("trials", whole(1, 10_000), 64, "Trials of that search for every optimizer")
CLIP_NORM = Option("clip_norm", POSITIVE, None, "The largest norm of a step's gradients", optional=True)
STOPPING = Settings(
    {"patience": whole(1, MOST_STEPS), "least_improvement": Range(0.0)},
    {"least_improvement": 0.0},
    '"patience=5" or "patience=5,least_improvement=0.001"',
)
EARLY_STOPPING = Option(
    "early_stopping",
    STOPPING,
    None,
    "Measurements without a better one after which a run ends, with its best weights",
    optional=True,
)
BUDGET = Option(
    "budget",
    Quantity("seconds", "a time", TIMES, '"90s", "10min" or "1.5h"'),
    None,
    "Time for everything; the study is cut to fit",
    optional=True,
)
MEMORY = Option(
    "memory",
    Quantity("bytes", "a size", SIZES, '"800MB" or "4GB"'),
    None,
    "What the process may hold in memory; fewer runs train at once",
    optional=True,
)
PROGRESS = Option("progress", Flag(), True, "Show progress")
CHECKPOINT_EVERY = Option(
    "checkpoint_every", Quantity("seconds", "a time", TIMES, '"60s" or "5min"'), 60.0, "What a crash may cost at most"
)
OUT = Option("out", Folder(), None, "Directory for study.sqlite and report.html", optional=True)
DEVICE = Option("device", OneLine(), "cpu", "Where to train: cpu, cuda, cuda:1, or another that torch has here")

# Of a stored study.
DIRECTORY = "thalweg-out"
"""Where the command line stores studies unless told otherwise."""

STORE = Option("out", Folder(), None, "Directory of the studies")
STUDY = Option("study", whole(1, 2**63 - 1), None, "The study; the newest if not given", optional=True)

# Of the command line only.
DATA_DIR = Option(
    "data_dir", Folder(), None, "Directory of mnist/ and fashion-mnist/; or set THALWEG_DATA", optional=True
)
VERBOSE = Option("verbose", Flag(), False, "Log more, with the time")
JSON = Option("json", File(), None, "Also write the results to this file, as JSON", optional=True)

# Of a workload; `epochs` and `steps` of a comparison replace the workload's own.
NAME = Option("name", OneLine(), None, "How reports call it")
BATCH_SIZE = Option("batch_size", whole(1, 10**9), 32, "Samples per step")
DROP_LAST = Option("drop_last", Flag(), False, "Leave out an epoch's short last batch")
EPOCHS = Option("epochs", whole(1, 10**6), 10, "Passes over the training data")
STEPS = Option("steps", whole(1, MOST_STEPS), None, "Optimizer steps of a run, in place of epochs", optional=True)
EVALUATE_EVERY = Option(
    "evaluate_every", whole(1, MOST_STEPS), "epoch", "Steps between measurements", otherwise="epoch"
)
TARGET = Option("target", Range(), None, "Value of the metric that counts as reached", optional=True)
