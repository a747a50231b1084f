"""The metrics known by name, and a workload's metric from what its user gave."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from thalweg.errors import InputError, shown, suggest
from thalweg.workloads import classification, loss_metrics, losses, regression
from thalweg.workloads.data import kind
from thalweg.workloads.metrics import Metric, direction
from thalweg.workloads.objective import own_loss

METRICS = {metric.name: metric for home in (classification, regression, loss_metrics) for metric in home.METRICS}
"""All but top-K accuracy, which is known by every K: `"top5"`."""

TOPS = [f"top{k}" for k in range(2, 11)]  # suggested where a name begins so


def metric_named(name: str) -> Metric:
    """The metric of that name, not yet bound to a loss. Raises `InputError` with the closest known names."""
    known = METRICS.get(name) or classification.top(name)
    if known is None:
        close = [*METRICS, *TOPS] if name.lower().startswith("top") else [*METRICS, "topK"]
        raise InputError(f"Unknown metric {shown(name)}. {suggest(name, close)}")
    return known


def takes_one_tensor(metric: Metric) -> bool:
    """Whether the metric is one that compares outputs with one tensor of targets, and none of the user's own."""
    one = any(metric.function == known.function for known in regression.METRICS)
    return one or classification.reading_of(metric.function) is not None


def metric_of(given: Any, loss: Any) -> Metric | None:
    """A workload's metric from a name, a `Metric` or a callable; `None` for anything else.

    Metrics of classes read outputs as the workload's loss does; those of the loss are of this one.

    Raises:
        InputError: the name is unknown, or the metric is none of such a loss.
    """
    if isinstance(given, str):
        given = metric_named(given)
    elif not isinstance(given, Metric):
        given = next((m for m in METRICS.values() if given is m.function), given)
    if not isinstance(given, Metric):
        if not callable(given):
            return None
        given = Metric(given, higher_is_better=direction(given, loss))
    if loss_metrics.is_of_loss(given.function):
        return loss_metrics.under(given, loss) if callable(loss) else given  # what is no loss is refused as such
    return classification.under(given, loss)


def usual_metric(loss: Any) -> str:
    """The metric of a loss, unless another is given: the error that it is, or accuracy."""
    kind = type(loss) if isinstance(loss, nn.Module) else losses.function_of(loss)
    errors: dict[Any, str] = {
        nn.functional.mse_loss: "mse", nn.MSELoss: "mse", nn.functional.l1_loss: "mae", nn.L1Loss: "mae"
    }  # fmt: skip
    told = losses.is_over_classes(loss) or losses.threshold(loss) is not None
    return errors.get(kind, "loss" if losses.is_torchs(loss) and not told else "accuracy")


@dataclass(frozen=True)
class MetricsOf:
    """A workload's metrics from what its user gave, in its words. loss: what it minimizes, a custom step if `step`."""

    loss: Any
    step: bool
    predict: bool

    def settled(self, metric: Any, also: Any) -> list[Metric]:
        """The metric that decides, and those that are recorded beside it: of several, the first decides.

        Raises `InputError` if one is none, or two have one name.
        """
        given = [*metric] if isinstance(metric, list | tuple) else [metric]
        further = [*also] if isinstance(also, list | tuple) else [also]
        found = [self._one(m) for m in (*(given or [None]), *further)]
        names = [m.name for m in found]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"Two metrics are named {twice!r}: leave one out, or name it by thalweg.Metric(name, f).")
        return found

    def _one(self, given: Any) -> Metric:
        if self.step:
            given = "loss" if given is None and not self.predict else given
            if given == "loss" or (isinstance(given, Metric) and given.function is own_loss):
                return Metric(own_loss, "loss", higher_is_better=False)
            if not self.predict:
                raise InputError("The metric of a step of your own needs predict, a function of (model, batch).")
        usual = "accuracy" if self.step else usual_metric(self.loss)
        metric = metric_of(usual if given is None else given, self.loss)
        if metric is None:
            raise InputError(f"metric must be a name or a callable metric(outputs, targets), got {kind(given)}.")
        return metric
