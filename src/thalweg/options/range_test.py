"""The options of a range test: those of a comparison that it shares, and its own."""

from collections.abc import Mapping
from dataclasses import replace

from thalweg.options.comparison import COMPARISON
from thalweg.options.declared import Option
from thalweg.options.kinds import File, Flag

ALL = "all"
"""In the place of optimizers: every one of the catalogue."""

SHARED = ("convention", "seeds", "base_seed", "epochs", "steps", "clip_norm", "memory", "progress")
PLACE = ("device", "data_dir")

VERIFY = Option("verify", Flag(), True, "Verify the suggestions by short runs")
PLOT = Option("plot", File(), None, "Draw the sweeps into this SVG file", optional=True)

OPTIMIZERS = replace(
    COMPARISON["optimizers"], help=f'{COMPARISON["optimizers"].help}; "{ALL}": every one', otherwise=ALL
)

RANGE_TEST: Mapping[str, Option] = {
    "optimizers": OPTIMIZERS,
    **{name: COMPARISON[name] for name in SHARED},
    "verify": VERIFY,
    **{name: COMPARISON[name] for name in PLACE},
}
"""The options by name, in the order of `thalweg.find_lr`."""
