"""Functions of `sklearn.metrics` as metrics: called with targets first, on what each takes of the outputs."""

import functools
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Literal

from torch import Tensor

from thalweg.errors import InputError
from thalweg.workloads import losses
from thalweg.workloads.accuracy import Accuracy, counted_scores, require_one_shape

HOME = "sklearn.metrics"
Taken = Literal["numbers", "labels", "probabilities", "scores", "decisions"]
TRUTHS = ("y_true", "labels_true", "y1")
TAKEN: Mapping[str, Taken] = {
    "y_pred": "labels", "labels_pred": "labels", "y2": "labels", "y_score": "scores", "y_proba": "probabilities",
    "y_prob": "probabilities", "pred_decision": "decisions",
}  # fmt: skip
"""The second argument's name → what the function takes of the outputs."""

LIKELIHOODS = ("log_loss", "d2_log_loss_score")  # older versions call their probabilities `y_pred`, too
HIGHER = ("_score", "_auc", "accuracy")
LOWER = ("_error", "_loss", "_deviance")  # of `hinge_loss` and `log_loss`, too


@dataclass(frozen=True)
class SklearnMetric:
    """`function(targets, answers)` on NumPy arrays, of a function of `sklearn.metrics` or a partial of one.

    A regression function takes the outputs as they are, in float64. One of labels takes the largest of several
    outputs, or one output by the loss's threshold. One of scores takes a single output as it is, and softmax
    probabilities of several; one of probabilities the sigmoid of a logit. Of two classes, scores and probabilities are
    those of class 1, `[places]`. Labels equal to the loss's `ignore_index` do not count.

    Raises:
        InputError: the function does not compare targets with answers; a partial binds these, or weights of samples;
            when called: the outputs are no tensor, or no scores of classes where the function needs some.
    """

    function: Any
    reading: Accuracy = field(default_factory=Accuracy)

    def __post_init__(self) -> None:
        names = self._arguments[:2]
        if len(names) < 2 or names[0] not in TRUTHS or names[1] not in TAKEN:
            raise InputError(
                f"{HOME}.{self.__name__} takes ({', '.join(names)}), not targets and answers: give a function of y_true"
                " and y_pred, y_score or y_proba, or thalweg.Metric(f, higher_is_better=…) of your own"
                " f(outputs, targets)."
            )
        by_place = isinstance(self.function, functools.partial) and self.function.args
        odd = [name for name in (*names, "sample_weight") if name in self._bound]
        if odd or by_place:
            raise InputError(
                f"A partial of {HOME}.{self.__name__} may not bind {odd[0] if odd else names[0]}, which differs from"
                " split to split: bind options by name, such as average='macro'."
            )

    @property
    def __name__(self) -> str:
        return str(losses.function_of(self.function).__name__)

    @property
    def higher_is_better(self) -> bool | None:
        """By the name's ending, as scikit-learn has them; `None` of others, such as `matthews_corrcoef`."""
        name = self.__name__
        return True if name.endswith(HIGHER) else False if name.endswith(LOWER) else None

    @property
    def taken(self) -> Taken:
        """What the function takes of the outputs."""
        if losses.function_of(self.function).__module__.endswith("._regression"):
            return "numbers"
        return "probabilities" if self.__name__ in LIKELIHOODS else TAKEN[self._arguments[1]]

    @property
    def reads_classes(self) -> bool:
        """Whether targets have to be labels of classes; scores may rank targets of other kinds."""
        return self.taken != "numbers" and (self.reading.is_binary or self.taken != "scores")

    def __call__(self, outputs: Tensor, targets: Tensor) -> Any:
        if not isinstance(outputs, Tensor):
            raise InputError(
                f"{self.__name__} takes one tensor of outputs, and the model returns a {type(outputs).__name__}: give"
                " thalweg.Metric(f, higher_is_better=…) of a function f(outputs, targets) that takes it."
            )
        one = outputs.squeeze(-1) if outputs.shape == (*targets.shape, 1) else outputs
        classes = 0
        if self.taken == "numbers":
            truth, answers = targets.double(), outputs.double()
        elif self.reading.threshold is not None:
            truth, answers = self._of_logits(one, targets, self.reading.threshold)
            classes = 2 if answers.ndim == 1 else 0
        elif self.taken == "scores" and one.shape == targets.shape:
            truth, answers = targets, one
        else:
            scores, truth = counted_scores(self.reading, self.__name__, outputs.double(), targets)
            answers, classes = self._of_classes(scores), scores.shape[1]
        return self.function(_array(truth), _array(answers), **self._labels(classes))

    def _of_logits(self, outputs: Tensor, targets: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """Targets and answers of one output for two classes, `[places]`, or for several labels, `[samples, labels]`."""
        require_one_shape(self.__name__, outputs, targets)
        shape = targets.shape if targets.ndim == 2 and targets.shape[1] > 1 else (-1,)
        logit = threshold == 0
        answers = outputs.double()
        if self.taken == "labels":
            answers = (outputs > threshold).long()
        elif self.taken == "probabilities" and logit:
            answers = answers.sigmoid()
        elif self.taken == "decisions" and not logit:
            answers = answers.logit()
        return (targets > 0.5).long().reshape(shape), answers.reshape(shape)

    def _of_classes(self, scores: Tensor) -> Tensor:
        """Answers of scores `[places, classes]`."""
        if self.taken == "labels":
            return scores.argmax(1)
        two = scores.shape[1] == 2
        if self.taken == "decisions":
            return scores[:, 1] - scores[:, 0] if two else scores
        probabilities = scores.softmax(1)
        return probabilities[:, 1] if two else probabilities

    def _labels(self, classes: int) -> Mapping[str, Any]:
        """All classes as the option `labels`, for functions of scores: a split may lack one."""
        wanted = classes and self.taken != "labels" and "labels" in self._arguments and "labels" not in self._bound
        return {"labels": list(range(classes))} if wanted else {}

    @property
    def _arguments(self) -> Sequence[str]:
        return [*inspect.signature(losses.function_of(self.function)).parameters]

    @property
    def _bound(self) -> Mapping[str, Any]:
        return self.function.keywords if isinstance(self.function, functools.partial) else {}


def turned(function: Any) -> Any:
    """A function of `sklearn.metrics`, or a partial of one, as `SklearnMetric`; anything else as it is.

    Raises `InputError` for a function there that is no metric of targets and answers.
    """
    inner, home = losses.function_of(function), sys.modules.get(HOME)  # whoever has such a function imported it
    if isinstance(inner, FunctionType) and getattr(home, inner.__name__, None) is inner:
        return SklearnMetric(function)
    return function


def _array(values: Tensor) -> Any:
    return values.detach().cpu().numpy()
