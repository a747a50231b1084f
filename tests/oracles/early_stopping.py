"""Early stopping (Prechelt, "Early Stopping – But When?", 1998; patience as in Keras), over a whole list at once."""

from collections.abc import Sequence


def ending(
    metrics: Sequence[float | None], patience: int, least_improvement: float, *, higher_is_better: bool
) -> tuple[int, int | None]:
    """(number of measurements made, index of the best of them). `None`: a measurement that is not finite."""
    sign = 1.0 if higher_is_better else -1.0
    reference, improved_at, made = None, -1, 0
    for i, metric in enumerate(metrics):
        made = i + 1
        if metric is not None and (reference is None or sign * (metric - reference) > least_improvement):
            reference, improved_at = metric, i
        elif i - improved_at >= patience:
            break
    known = [i for i in range(made) if metrics[i] is not None]
    return made, max(known, key=lambda i: (sign * metrics[i], -i), default=None)  # type: ignore[operator]
