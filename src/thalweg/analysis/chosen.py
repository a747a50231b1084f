"""A contender's chosen hyperparameters in words."""

from thalweg.analysis.formatting import rate_text
from thalweg.analysis.row import Row


def rate_with_range(row: Row) -> str:
    """The chosen learning rate, and the others that do as well: `3e-3 (1e-3 to 1e-2 do as well)`; empty without one."""
    if row.learning_rate is None:
        return ""
    found = range_text(row).replace("–", " to ")
    return rate_text(row.learning_rate) + (f" ({found} do as well)" if found else "")


def good_text(row: Row) -> str:
    """The good range, or the single rate of it; empty where it is unknown."""
    return range_text(row) or (rate_text(row.good.low) if row.good else "")


def range_text(row: Row) -> str:
    """The good range, `1e-3–1e-2`; empty where it is unknown, or a single rate."""
    if row.good is None or row.good.low == row.good.high:
        return ""
    return f"{rate_text(row.good.low)}–{rate_text(row.good.high)}"


def setting(row: Row) -> str:
    """Chosen values of the tuned hyperparameters other than the learning rate: `beta1=0.8, eps=1e-08`."""
    if row.choice is None:
        return ""
    varied = {k for point in row.tried for k, v in point.hyperparameters.items() if v != row.hyperparameters.get(k)}
    chosen = {k: v for k, v in row.choice.point.others.items() if k in varied}
    return ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in chosen.items())
