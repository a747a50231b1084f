"""The recurrence of an optimizer as text: its rule's, from the docstring, with a line for each part composed around it.

The lines follow from what the recipe switches on, in the order of `recipes.compose`, and in its arithmetic:
`p ← p - lr·λ·p` stands before the rule, which sees the parameter that was shrunk.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.compose import StepVariant
from thalweg.recipes.options import BY_CONVENTION, MODEL_RULES, OPTIONS
from thalweg.regularization.caution import LEAST
from thalweg.regularization.clipping import SMALLEST

UPDATE = "u: what the rule subtracts"


@dataclass(frozen=True)
class ComposedPart:
    """A composed part as text. line: of a variant, with `lr` for its rate. legend: its symbols.

    late: whether it stands after the rule's lines: it changes the update or the new parameter.
    """

    line: Callable[[StepVariant], str]
    legend: str
    late: bool = False


def _always(line: str) -> Callable[[StepVariant], str]:
    return lambda variant: line


def _decay(variant: StepVariant) -> str:
    """The line of weight decay in its three meanings, as `compose` takes them: independent before decoupled."""
    if variant.has("independent_weight_decay"):
        return "p ← p - λ·p"
    if variant.has("decoupled_weight_decay"):
        return f"p ← p - {_rate(variant)}λ·p"
    return "g ← g + λ·p"


def _rate(variant: StepVariant) -> str:
    """The rate as a factor, nothing for a rule without one."""
    return f"{variant.rule.rate}·" if variant.rule.rate else ""


def _l2(variant: StepVariant) -> str:
    """The line of L2, which Keras does not halve."""
    return f"g ← g + {'2·' if variant.has(BY_CONVENTION[0]) else ''}λ2·p"


def _limited(new: str) -> Callable[[StepVariant], str]:
    """The line of a constraint that takes norms to `new`; in Keras's, ε is added to the divisor."""
    return lambda variant: f"p ← p · {new}/{'(ε + ‖p‖)' if variant.has(BY_CONVENTION[0]) else '‖p‖'}"


PARTS: Mapping[str, ComposedPart] = {
    **{
        name: ComposedPart(_always(rule.meaning.partition(": ")[2]), f"by {name}") for name, rule in MODEL_RULES.items()
    },
    "maximize": ComposedPart(_always("g ← -g"), "maximize"),
    "centralize": ComposedPart(_always("g ← g - mean(g)"), "centralize: the mean of each unit"),
    "clip_adaptive": ComposedPart(
        _always(f"g ← g · min(1, c·max(‖p‖, {SMALLEST:g})/‖g‖)"), "c: clip_adaptive; norms of each unit"
    ),
    "clip_global_norm": ComposedPart(
        _always("g ← g · min(1, c/(‖g‖ + 1e-06))"), "c: clip_global_norm; of all gradients"
    ),
    "clip_tensor_norm": ComposedPart(_always("g ← g · min(1, c/(‖g‖ + 1e-06))"), "c: clip_tensor_norm; of each tensor"),
    "clip_value": ComposedPart(_always("g ← min(max(g, -c), c)"), "c: clip_value"),
    "weight_decay": ComposedPart(_decay, "λ: weight_decay"),
    "l2": ComposedPart(_l2, "λ2: l2"),
    "l1": ComposedPart(_always("g ← g + λ1·sign(p)"), "λ1: l1"),
    "clip_update": ComposedPart(
        lambda variant: f"u ← u / max(1, rms(u)/({_rate(variant)}c))", f"c: clip_update; {UPDATE}", late=True
    ),
    "cautious": ComposedPart(
        _always(f"u ← u/max(s, {LEAST:g}) where u·g > 0, else 0"),
        f"cautious; {UPDATE}; s: the share of such elements",
        late=True,
    ),
    "proximal_l1": ComposedPart(
        lambda variant: f"p ← sign(p)·max(0, |p| - {_rate(variant)}λ)", "λ: proximal_l1; p after its update", late=True
    ),
    "proximal_l2": ComposedPart(
        lambda variant: f"p ← p / (1 + {_rate(variant)}λ)", "λ: proximal_l2; p after its update", late=True
    ),
    "non_negative": ComposedPart(_always("p ← max(0, p)"), "non_negative", late=True),
    "max_norm": ComposedPart(_limited("min(c, ‖p‖)"), "c: max_norm; norms of each unit", late=True),
    "min_norm": ComposedPart(_limited("max(c, ‖p‖)"), "c: min_norm; norms of each unit", late=True),
    "unit_norm": ComposedPart(_limited("1"), "unit_norm; norms of each unit", late=True),
    "lookahead_steps": ComposedPart(
        _always("s ← s + α·(p - s), p ← s"), "every lookahead_steps; α: lookahead_alpha; s starts as p", late=True
    ),
    "ema_decay": ComposedPart(
        _always("e ← d·e + (1 - d)·p"), "d: ema_decay; e, to evaluate with, starts as p", late=True
    ),
    "masked": ComposedPart(_always("p ← p·mask"), "masked", late=True),
}
"""Option → its text, in the order of a step."""

MANNERS: Mapping[str, str] = {
    "decoupled_weight_decay": "weight_decay",
    "independent_weight_decay": "weight_decay",
    "lookahead_alpha": "lookahead_steps",
    "norm_rate": "max_norm",
    BY_CONVENTION[0]: "l2",
}
"""Options that only say how another is carried out → that one."""


def composed(recipe: Recipe) -> tuple[list[str], list[str]]:
    """The lines of the composed parts that stand (before, after) the rule's own, with their symbols explained.

    A part whose manner the recipe sets, such as decoupled decay of strength 0, has its line, too.
    """
    variant = recipe.structure(recipe.resolve({}))
    declared = {MANNERS.get(name, name) for name in recipe.preset.defaults if name in OPTIONS}
    on = declared | {name for name in PARTS if variant.has(name)}
    on -= set(variant.rule.hyperparameters)
    parts = {name: part for name, part in PARTS.items() if name in on}
    off = {name for name in parts if not variant.has(name)}
    lines = {name: (_with_legend(part, variant, unless_given=name in off), part.late) for name, part in parts.items()}
    before, after = ([line for line, late in lines.values() if late == wanted] for wanted in (False, True))
    return before, after + _settings(recipe)


def _with_legend(part: ComposedPart, variant: StepVariant, *, unless_given: bool) -> str:
    return f"{part.line(variant):<26} ({part.legend}{', 0 unless given' if unless_given else ''})"


def _settings(recipe: Recipe) -> list[str]:
    """One line on the parts of the rule's own formula that a preset switches on: `(here with momentum=0.9)`."""
    own = recipe.rule.hyperparameters
    given = {n: v for n, v in recipe.preset.defaults.items() if n in own and (own[n].is_flag or own[n].switch)}
    on = [f"{name}={value}" for name, value in given.items() if value != own[name].default]
    return [f"(here with {', '.join(on)})"] if on else []


def recurrence(recipe: Recipe) -> tuple[str, str]:
    """(recurrence with the composed lines, remarks): lines without indentation, and one paragraph."""
    lines, last = _own(recipe)
    before, after = composed(recipe)
    own = textwrap.dedent("\n".join(lines[: last + 1])).split("\n")
    return "\n".join([*before, *own, *after]), " ".join(" ".join(lines[last + 1 :]).split())


def as_docstring(recipe: Recipe) -> str:
    """The rule's docstring after its summary, with the composed lines in the form of their neighbours."""
    lines, last = _own(recipe)
    indent = next((line[: len(line) - len(line.lstrip())] for line in lines[: last + 1] if line.strip()), "")
    before, after = (list(_indented(of, indent)) for of in composed(recipe))
    return "\n".join([*before, *lines[: last + 1], *after, *lines[last + 1 :]])


def _indented(lines: list[str], indent: str) -> Iterator[str]:
    return (indent + line for line in lines)


def _own(recipe: Recipe) -> tuple[list[str], int]:
    """The lines of the rule's docstring after its summary, and the index of the recurrence's last.

    The recurrence is indented if remarks follow it without a gap between paragraphs; else it is the first paragraph.
    """
    text = (inspect.getdoc(recipe.rule.function) or "").partition("\n")[2].strip("\n")
    lines = text.split("\n")
    first_gap = lines.index("") if "" in lines else len(lines)
    return lines, max((i for i, line in enumerate(lines) if line.startswith("    ")), default=first_gap - 1)
