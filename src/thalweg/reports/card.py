"""The card of one optimizer: recurrence, hyperparameters with defaults by convention, memory, and when to use it."""

import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from thalweg.options.ranges import Range
from thalweg.recipes.catalogue import Recipe, recipes
from thalweg.recipes.options import ADDED, OPTIONS
from thalweg.recipes.recurrence import recurrence
from thalweg.recipes.trace import trace
from thalweg.rules.hyperparameters import Hyperparameter

Row = tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """Contents of a card as text. heads, rows: the table of hyperparameters, with the default of each convention.

    options: the hyperparameters common to all optimizers, one row each.
    """

    name: str
    title: str
    drop_in: str
    recurrence: str
    remarks: str
    when: str
    memory: str
    paper: str
    heads: Row
    rows: tuple[Row, ...]
    options: tuple[Row, ...]


def card(recipe: Recipe) -> Card:
    """Derives a card from the recipe and its rule's docstring."""
    steps, remarks = recurrence(recipe)
    by = [recipe.under(convention) for convention in recipe.conventions]
    own = recipe.rule.hyperparameters.values()
    every = recipe.hyperparameters.items()
    changed = [h for name, h in every if h not in own and any(r.defaults[name] != h.default for r in by)]
    around = {name: h for name, h in OPTIONS.items() if name not in ADDED or name not in recipe.rule.hyperparameters}
    return Card(
        name=recipe.name,
        title=recipe.preset.summary.removesuffix("."),
        drop_in=_drop_in(recipe),
        recurrence=steps,
        remarks=remarks,
        when=recipe.preset.when,
        memory=_memory(recipe),
        paper=recipe.preset.paper,
        heads=("hyperparameter", *recipe.conventions, "range", "worth searching"),
        rows=tuple(_row(h, by) for h in (*own, *changed) if not h.initially),
        options=tuple((f"`{name}`", _value(h.default), _range(h.range), h.meaning) for name, h in around.items()),
    )


def _drop_in(recipe: Recipe) -> str:
    """Its class; for another name of a rule, that rule's class with the arguments that make it this one."""
    if recipe.drop_in:
        return f"thalweg.optim.{recipe.drop_in.name}"
    of = recipes().get(recipe.rule.name)
    if of is None or of.drop_in is None:
        return ""
    return f"thalweg.optim.{of.drop_in.name} with {', '.join(differing(recipe, of))}"


def differing(recipe: Recipe, of: Recipe) -> list[str]:
    """The defaults of a recipe that another of its rule has otherwise: `["momentum=0.9", "nesterov=True"]`."""
    return [f"{name}={_value(value)}" for name, value in recipe.defaults.items() if value != of.defaults[name]]


def _row(h: Hyperparameter, by: list[Recipe]) -> Row:
    search = " to ".join(f"{value:g}" for value in h.range.search) if h.range and h.range.search else ""
    return h.name, *(_value(r.defaults[h.name]) for r in by), _range(h.range), search


def _range(of: Range | None) -> str:
    return "True or False" if of is None else str(of)


def _value(value: float | bool | None) -> str:
    return str(value) if isinstance(value, bool | None) else f"{value:g}"


def _memory(recipe: Recipe) -> str:
    """State size, such as `"2 numbers a parameter (exp_avg, exp_avg_sq); 3 with amsgrad"`."""
    least = _states(recipe, {})
    said = f"{len(least)} number{'s' * (len(least) != 1)} a parameter"
    said += f" ({', '.join(least)})" if least else ""
    return "; ".join([said, *_more(recipe, len(least))])


def _more(recipe: Recipe, least: int) -> Iterator[str]:
    flags = [h for h in recipe.rule.hyperparameters.values() if h.is_flag or h.switch]
    for h, value in itertools.product(flags, (True,)):
        given = {h.name: value if h.is_flag else 0.5}
        if not recipe.rule.contradiction({**recipe.defaults, **given}) and len(_states(recipe, given)) > least:
            yield f"{len(_states(recipe, given))} with {h.name}"


def _states(recipe: Recipe, given: dict[str, float | bool]) -> tuple[str, ...]:
    return trace(recipe.structure(recipe.resolve(given))).states


INDENT = " " * 4
WIDEST = 118  # characters of a line of text, also on a wider terminal


def as_text(of: Card, width: int = WIDEST) -> str:
    """The card for a terminal of that many columns: sentences and long lines of the recurrence are wrapped."""
    width = min(width, WIDEST)
    heading = f"{of.name}: {of.title}" + (f"  ({of.drop_in})" if of.drop_in else "")
    more = f"As every optimizer, it also takes {', '.join(row[0] for row in of.options).replace('`', '')}."
    told = [*filter(None, [of.remarks]), f"When: {of.when}", f"Memory: {of.memory}.", f"Paper: {of.paper}."]
    sentences = "\n".join(_wrapped(sentence, width) for sentence in told)
    steps = "\n".join(line for step in of.recurrence.split("\n") for line in _step(step, width))
    return "\n\n".join(
        [_wrapped(heading, width), steps, sentences, "\n".join(_fitting(of, width)), _wrapped(more, width)]
    )


def _step(line: str, width: int) -> list[str]:
    """A line of the recurrence, indented; one too long has its explanation, after a gap, below it."""
    if len(INDENT + line) <= width:
        return [INDENT + line]
    first, *rest = (part for part in re.split(r"\s{3,}", line) if part)
    hanging = 2 * INDENT
    own = textwrap.wrap(first, width, initial_indent=INDENT, subsequent_indent=hanging)
    return own + [
        more for part in rest for more in textwrap.wrap(part, width, initial_indent=hanging, subsequent_indent=hanging)
    ]


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _fitting(of: Card, width: int) -> list[str]:
    """The lines of the table; too wide, it loses what is worth searching, then a space of the gaps, then the ranges.

    The card as JSON, and the page, have it whole.
    """
    table = [of.heads, *of.rows]
    for cut, gap in ((0, 2), (1, 2), (1, 1), (2, 1)):
        kept = [row[: len(row) - cut] for row in table]
        widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
        lines = [(" " * gap).join(map(str.ljust, row, widths)).rstrip() for row in kept]
        if max(map(len, lines)) <= width:
            break
    return lines


def as_page(cards: Iterable[Card]) -> str:
    """All cards as one page of Markdown."""
    every = list(cards)
    index = ", ".join(f"[{c.name}](#{c.name})" for c in every)
    options = _table(("also of every optimizer", "default", "range", "meaning"), every[0].options)
    head = f"{PREFACE}\n\n{index}\n\n{options}"
    return "\n\n".join([head, *map(_section, every)]) + "\n"


PREFACE = """# The optimizers

Each section is the card that `thalweg optimizers NAME` prints; `make docs` writes this page. A column of the tables is
a convention: `torch` is the default, and the others are had by `convention="keras"` and so on."""


def _section(of: Card) -> str:
    told = [f"*When:* {of.when}", f"*Memory:* {of.memory}.", f"*Paper:* {of.paper}."]
    where = f" (`{of.drop_in}`)" if of.drop_in else ""
    parts = [
        f"## {of.name}",
        f"{of.title}{where}.",
        f"```\n{of.recurrence}\n```",
        of.remarks,
        "  \n".join(told),
        _table(of.heads, of.rows),
    ]
    return "\n\n".join(filter(None, parts))


def _table(heads: Row, rows: Iterable[Row]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ("---",) * len(heads), *rows))
