"""The options of a study of sparse models: those of a comparison that it shares, and its own."""

from collections.abc import Mapping
from dataclasses import replace

from thalweg.options.comparison import COMPARISON
from thalweg.options.declared import COMPARED, MOST_STEPS, TRAINING, Option
from thalweg.options.kinds import Listed, OneLine, OneOf
from thalweg.options.ranges import POSITIVE, Range, whole

METHODS = ("threshold", "prune", "random", "l1", "ticket")
DEFAULT_METHODS = METHODS[:3]
SPARSITIES = (0.5, 0.8, 0.9, 0.95)
SCOPES = ("global", "layer", "2:4")
SCHEDULES = ("cubic", "constant")
STRENGTHS = (1e-3, 1e-2, 3e-2, 0.1, 0.3)

_SHARED = (
    "convention", "base_seed", "epochs", "steps", "batch_size", "clip_norm", "memory", "progress", "out", "device",
    "data_dir", "tag", "checkpoint_every",
)  # fmt: skip

ASKED = ("method", "sparsity", "schedule", "scope", "exclude", "begin", "end", "frequency", "l1")
"""Options of this study alone, which its request stores."""

SPARSIFY: Mapping[str, Option] = {
    "method": Option(
        "method", Listed(f"methods among {', '.join(METHODS)}", len(METHODS), OneOf(METHODS)), DEFAULT_METHODS,
        f"How models become sparse: {', '.join(METHODS)}", written=",".join(DEFAULT_METHODS), panel=COMPARED,
        metavar="NAMES",
    ),
    "sparsity": Option(
        "sparsity", Listed("numbers in (0, 1)", 50, Range(0.0, 1.0, open_low=True, open_high=True)), SPARSITIES,
        "Shares of the weights that are zero", written="0.5,0.8,0.9,0.95", panel=COMPARED, metavar="NUMBERS",
    ),
    "optimizer": Option("optimizer", OneLine(), "adam", "The optimizer, such as adam or sgd(momentum=0.9)",
                        panel=TRAINING, metavar="NAME"),
    "learning_rate": Option("learning_rate", POSITIVE, None, "Its learning rate", optional=True, panel=TRAINING,
                            unset="its published default"),
    "schedule": Option("schedule", OneOf(SCHEDULES), "cubic", "How sparsity grows in prune and random", panel=TRAINING),
    "scope": Option("scope", OneOf(SCOPES), "global", "Smallest weights: of all, of each layer, or two of every four",
                    panel=TRAINING),
    "exclude": Option("exclude", Listed("names of parameters or patterns", 1000, OneLine()), None,
                      'Parameters that are not pruned, such as "layers.0.*"', optional=True, panel=TRAINING,
                      metavar="PATTERNS"),
    "begin": Option("begin", whole(0, MOST_STEPS), None, "The step after which pruning begins", optional=True,
                    panel=TRAINING, unset="after a quarter of the steps"),
    "end": Option("end", whole(0, MOST_STEPS), None, "The step after which masks change no more", optional=True,
                  panel=TRAINING, unset="after three quarters of the steps"),
    "frequency": Option("frequency", whole(1, MOST_STEPS), None, "Steps between two updates of masks", optional=True,
                        panel=TRAINING, unset="a fiftieth of those between begin and end"),
    "l1": Option("l1", Listed("positive finite numbers", 50, POSITIVE), STRENGTHS,
                 "Strengths of l1, of which the best by validation is shown", written="1e-3,1e-2,3e-2,0.1,0.3",
                 panel=TRAINING, metavar="NUMBERS"),
    "seeds": replace(COMPARISON["seeds"], default=5, help="Models of each kind, each with a seed of its own"),
    **{name: COMPARISON[name] for name in _SHARED},
}  # fmt: skip
"""The options by name, in the order of `thalweg.sparsify`."""
