"""Regularizers in a comparison: penalties, constraints and early stopping, tried with every optimizer.

One text is one regularizer, such as "l2=1e-4", or several joined by "+", such as the elastic net "l1=1e-5+l2=1e-4".
Its terms are options of a composed step (`OPTIONAL`), or those in `OTHERS`, which reads what is no option of a step:
when runs end, and dropout, which the model's factory takes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from thalweg.analysis.dimensions import NONE
from thalweg.errors import InputError, shown, suggest
from thalweg.options.declared import STOPPING
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.imported import Imported
from thalweg.recipes.options import OPTIONS
from thalweg.regularization.stopping import EarlyStopping

OPTIONAL = (
    "l2", "l1", "proximal_l1", "proximal_l2", "weight_decay", "decoupled_weight_decay", "independent_weight_decay",
    "max_norm", "min_norm", "norm_rate", "unit_norm", "non_negative",
)  # fmt: skip
"""The options of a composed step that are regularizers."""

PATIENCE = 5
"""Measurements that "early-stopping" waits for a better one, unless it says how many."""


@dataclass(frozen=True)
class Regularizer:
    """What a contender's runs are regularized by. Its penalties are of weights, not of biases and norms.

    text: as written. values: options of the step. early_stopping: when its runs end before their last step. dropout:
    the rate that the model's factory is given, if any.
    """

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    early_stopping: EarlyStopping | None = None
    dropout: float | None = None

    @property
    def of_model(self) -> dict[str, Any]:
        """The arguments that the model's factory is given."""
        return {} if self.dropout is None else {"dropout": self.dropout}

    @property
    def penalties(self) -> tuple[str, ...]:
        """The names of its penalties."""
        return tuple(name for name in self.values if OPTIONS[name].is_penalty)

    def __str__(self) -> str:
        return self.text


def _stopping(value: Any) -> EarlyStopping:
    rule = STOPPING.read(PATIENCE if value is None else value)
    if rule is None:
        raise InputError(f"The regularizer early-stopping must be {STOPPING.accepted}, got {shown(value)}.")
    return EarlyStopping(**rule)


def _dropout(value: Any) -> float:
    number = _number(value)
    if not number or not 0 < number < 1:
        got = "nothing" if value is None else shown(value)
        raise InputError(f"The regularizer dropout must be a number in (0, 1), as in dropout=0.2, got {got}.")
    return number


OTHERS: Mapping[str, Callable[[Any], Any]] = {"early_stopping": _stopping, "dropout": _dropout}
"""Terms that are no options of a step: the field of `Regularizer` → its value from what was written, `None` for none.
"""


def read(given: Any) -> Regularizer | None:
    """A regularizer from its text, a mapping of its terms or an `EarlyStopping`; `None` for "none".

    Raises `InputError` for another one, and for a value that is out of range.
    """
    if given is None or isinstance(given, Regularizer):
        return given
    if isinstance(given, EarlyStopping):
        given = {"early_stopping": asdict(given)}
    if isinstance(given, Mapping):
        text = "+".join(_written(str(name), value) for name, value in given.items())
        return _of(text, {str(name).replace("-", "_"): value for name, value in given.items()})
    if not isinstance(given, str) or not given.strip():
        raise InputError(
            f"A regularizer must be a text such as 'l2=1e-4' or {NONE!r}, a mapping such as {{'l2': 1e-4}} or an"
            f" EarlyStopping, got {shown(given)}."
        )
    text = "".join(given.split())
    return None if text == NONE else _of(text, _terms(text))


def _written(name: str, value: Any) -> str:
    if value is True:
        return name
    if isinstance(value, Mapping):
        return f"{name}({','.join(f'{k}={v:g}' for k, v in value.items())})"
    return f"{name}={float(value)!r}" if isinstance(value, float) else f"{name}={value}"


def _terms(text: str) -> dict[str, Any]:
    """The terms of a text: name → what was written, `None` for a name alone. Raises `InputError` for a second one."""
    terms: dict[str, Any] = {}
    for term in _added(text):
        head, equals, value = term.partition("=")
        if term.endswith(")") and "(" in head:
            head, _, inside = term[:-1].partition("(")
            equals, value = "=", inside
        name = head.replace("-", "_")
        if name in terms:
            raise InputError(f"The regularizer {shown(text)} has {head} twice; keep one.")
        terms[name] = value if equals else None
    return terms


def _added(text: str) -> list[str]:
    """The parts between plus signs, other than those of exponents, as in 1e+2."""
    parts: list[str] = []
    for part in text.split("+"):
        follows = parts and parts[-1][-1:] in ("e", "E") and parts[-1][-2:-1].isdigit() and part[:1].isdigit()
        parts[len(parts) - 1 if follows else len(parts) :] = [f"{parts[-1]}+{part}" if follows else part]
    return parts


def _of(text: str, terms: Mapping[str, Any]) -> Regularizer:
    known = (*OPTIONAL, *OTHERS)
    values: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in terms.items():
        if name not in known:
            names = [one.replace("_", "-") for one in known]
            raise InputError(f"No regularizer is called {shown(name)}. {suggest(name.replace('_', '-'), names)}")
        if name in OTHERS:
            others[name] = OTHERS[name](value)
        else:
            values[name] = _checked(name, value)
    return Regularizer(text, values, **others)


def _checked(name: str, value: Any) -> Any:
    """An option's value. Raises `InputError` where it is missing, out of range, or 0, by which it would be off."""
    option, spelled = OPTIONS[name], name.replace("_", "-")
    if option.is_flag:
        if value not in (None, True, "True", "true"):
            raise InputError(f"The regularizer {spelled} has no value, got {shown(value)}; leave it out to be without.")
        return True
    number = _number(value)
    if number is None or option.range is None or option.range.read(number) is None or number == 0:
        accepted = "a number" if option.range is None else f"a number above 0 in {option.range.interval}"
        got = "nothing" if value is None else shown(value)
        raise InputError(f"The regularizer {spelled} must be {accepted}, as in {spelled}=0.01, got {got}.")
    return number


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def listed_regularizers(given: Sequence[Any]) -> list[Regularizer | None]:
    """The regularizers of a comparison, each once. Raises `InputError` for one that stands twice."""
    found = [read(one) for one in given]
    texts = [NONE if one is None else one.text for one in found]
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice:
        raise InputError(f"The regularizer {twice!r} stands twice in the list; name each once.")
    return found


def under(
    regularizer: Regularizer | None, recipe: Recipe | Imported, fixed: Mapping[str, Any]
) -> tuple[Recipe | Imported, dict[str, Any]]:
    """An optimizer and its fixed hyperparameters under a regularizer.

    Raises `InputError` for another library's optimizer, which takes no options of ours.
    """
    if regularizer is None or not regularizer.values:
        return recipe, {**fixed}
    if isinstance(recipe, Imported):
        raise InputError(
            f"{recipe.path} is another library's, and {regularizer} is composed around Thalweg's optimizers only: leave"
            " it out, or give one of these."
        )
    return recipe.penalizing_weights(regularizer.penalties), {**fixed, **regularizer.values}
