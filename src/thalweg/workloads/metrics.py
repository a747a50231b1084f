"""Metrics of a split: a function of all its outputs and targets, and the direction that is better."""

import copy
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from torch import Tensor, nn

from thalweg.errors import InputError, first_line, shown
from thalweg.options.kinds import OneLine
from thalweg.workloads import losses
from thalweg.workloads.random_states import TURN
from thalweg.workloads.sklearn_metrics import SklearnMetric, turned

Function = Callable[[Any, Tensor], Any]
UNNAMED = "metric"
FUNCTIONS = (FunctionType, BuiltinFunctionType)


@dataclass(frozen=True, init=False)
class Metric:
    """`function(outputs, targets)` → number over a whole split, such as `Metric(rmse, higher_is_better=False)`.

    name: the name in reports; by default the function's. It may also come first: `Metric("rmse", rmse, False)`.
    higher_is_better: the direction. Optional for functions with an attribute of that name (as torchmetrics' have) and
        for torch's losses and scikit-learn's scores and errors; for others it is `None` then, and nothing is trained.
    vectorized: whether `torch.vmap` may call the function for many models at once.

    An object is never called directly: every call uses a copy of it, reset if it has a `reset`. A function of
    `sklearn.metrics`, or a `functools.partial` of one, is called with targets first: `function` is a `SklearnMetric`.

    Raises:
        InputError: the function is not callable, or a class, or takes targets first without being scikit-learn's, or
            the name is no text of one line.
    """

    name: str
    function: Function
    higher_is_better: bool | None
    vectorized: bool

    def __init__(
        self,
        function: Function | str,
        name: str | Function | None = None,
        higher_is_better: bool | None = None,
        vectorized: bool = False,
    ) -> None:
        first = isinstance(function, str) or callable(name)
        measure, named = (name, function) if first else (function, name)
        if not callable(measure):
            raise InputError(f"The function of a metric must be a callable, got {shown(measure)}.")
        if isinstance(measure, type):
            raise InputError(
                f"A metric is called with outputs and targets, and {name_of(measure)} is a class: give an"
                f" object, {name_of(measure)}()."
            )
        measure = turned(measure)
        if vectorized and isinstance(measure, SklearnMetric):
            raise InputError(
                f"{name_of(measure)} takes arrays, and torch.vmap calls a metric with tensors of many models: leave out"
                " vectorized=True."
            )
        require_outputs_first(measure, "metric")
        named = name_of(measure) if named is None else named
        line = OneLine()
        if line.read(named) is None:
            raise InputError(f"The name of a metric must be {line.accepted}, got {shown(named)}.")
        if higher_is_better is None:
            higher_is_better = direction(measure)
        if not isinstance(higher_is_better, bool | None):
            raise InputError(f"higher_is_better of a metric must be True or False, got {shown(higher_is_better)}.")
        facts = {"name": named, "function": measure, "higher_is_better": higher_is_better, "vectorized": vectorized}
        for field, value in facts.items():
            object.__setattr__(self, field, value)

    @property
    def maximized(self) -> bool:
        """Whether higher is better. Raises `InputError` if that is unknown."""
        if self.higher_is_better is not None:
            return self.higher_is_better
        name = name_of(self.function)
        made = "" if hasattr(losses.function_of(self.function), "__name__") else "()"  # of an object, the class's name
        called = "f" if name == UNNAMED else name + made
        raise InputError(
            f"Whether higher or lower values of the metric {self.name!r} are better is not known: give"
            f" metric=thalweg.Metric({called}, higher_is_better=True), or =False where lower is better."
        )

    def fresh(self) -> Function:
        """A callable for one call in one thread: a copy of an object, a user's function behind a lock.

        Raises `InputError` if an object cannot be copied.
        """
        if _is_pure(self.function):
            return self.function
        try:
            copied: Function = _copied(self.function)  # deepcopy returns a function itself
        except Exception as error:  # copying a user's object may raise anything
            raise InputError(
                f"The metric {self.name!r} cannot be copied ({first_line(error).rstrip('.')}), and every call needs an"
                " object of its own: give a function, or an object that copy.deepcopy copies."
            ) from error
        in_turn = isinstance(losses.function_of(copied), FUNCTIONS)
        return functools.partial(_in_turn, copied) if in_turn else copied


# names of arguments by which a function says that it takes targets, and outputs
TARGETS = {"y_true", "true", "truth", "target", "targets", "label", "labels", "labels_true", "actual", "ground_truth"}
OUTPUTS = {"y_pred", "y_score", "y_prob", "y_proba", "pred", "preds", "prediction", "predictions", "labels_pred",
           "output", "outputs", "logits", "scores", "predicted"}  # fmt: skip


def require_outputs_first(function: Any, what: str) -> None:
    """Raises `InputError` if a function's argument names show that targets come first, as in scikit-learn."""
    try:
        names = [p.name for p in inspect.signature(function).parameters.values()][:2]
    except (TypeError, ValueError):
        return
    if len(names) == 2 and names[0].lower() in TARGETS and names[1].lower() in OUTPUTS:
        called = name_of(function)
        raise InputError(
            f"The {what} {called!r} takes ({names[0]}, {names[1]}), and is called with outputs first: give a function"
            f" that turns them, lambda outputs, targets: {'f' if called == UNNAMED else called}(targets, outputs)."
        )


@dataclass(frozen=True)
class OfMean:
    """`after(mean(outputs, targets))`: a function of a mean over samples, such as the root of a mean square.

    mean: a metric that is a mean over samples, so that a large split can be measured in chunks. after: a function of
    a tensor, elementwise.
    """

    mean: Function
    after: Callable[[Tensor], Tensor]

    def __call__(self, outputs: Any, targets: Tensor) -> Tensor:
        return self.after(self.mean(outputs, targets))


def direction(function: Any, loss: Any = None) -> bool | None:
    """Whether higher is better, by the function's attribute; `False` for a loss; `None` if unknown.

    loss: the workload's own, of which lower is better.
    """
    inner = losses.function_of(function)
    said = [getattr(f, "higher_is_better", None) for f in (function, inner)]
    known = next((s for s in said if isinstance(s, bool)), None)
    if known is None and (_is_one(inner, losses.function_of(loss)) or losses.is_torchs(function)):
        return False
    return known


def _is_one(a: Any, b: Any) -> bool:
    """Identity, but equality for methods: every access creates a new method object."""
    return a is b or (isinstance(a, MethodType) and isinstance(b, MethodType) and a == b)


def name_of(function: Any) -> str:
    """A function's name, or an object's class; `UNNAMED` for a lambda or an unprintable name."""
    function = losses.function_of(function)
    name = OneLine().read(getattr(function, "__name__", type(function).__name__))
    return UNNAMED if name is None or name == "<lambda>" else name


def _is_pure(function: Any) -> bool:
    """Whether it keeps nothing between calls: torch's losses, and metrics defined in this folder.

    A function's module is read off its globals, since `functools.wraps` copies `__module__` to a user's wrapper.
    """
    home = function.__globals__.get("__name__", "") if isinstance(function, FunctionType) else type(function).__module__
    return str(home).startswith(f"{__package__}.") or losses.is_torchs(function)


def _in_turn(function: Function, outputs: Any, targets: Tensor) -> Any:
    with TURN:
        return function(outputs, targets)


def _copied(function: Any) -> Any:
    """A reset deep copy that shares the parameters of a network used as metric, since nothing trains them."""
    inner = losses.function_of(function)
    shared = {id(p): p for p in inner.parameters()} if isinstance(inner, nn.Module) else {}
    copied = copy.deepcopy(function, shared)
    reset = getattr(losses.function_of(copied), "reset", None)
    if callable(reset) and not isinstance(inner, FUNCTIONS):
        reset()
    return copied
