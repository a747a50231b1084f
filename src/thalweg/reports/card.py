"""The card of one optimizer: recurrence, hyperparameters with defaults by convention, memory, and when to use it."""

import inspect
import itertools
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from thalweg.options.ranges import Range
from thalweg.recipes.catalogue import Recipe
from thalweg.recipes.options import OPTIONS
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
    recurrence, remarks = _parts(recipe)
    by = [recipe.under(convention) for convention in recipe.conventions]
    own = recipe.rule.hyperparameters.values()
    every = recipe.hyperparameters.items()
    changed = [h for name, h in every if h not in own and any(r.defaults[name] != h.default for r in by)]
    return Card(
        name=recipe.name,
        title=recipe.preset.summary.removesuffix("."),
        drop_in=f"thalweg.optim.{recipe.drop_in.name}" if recipe.drop_in else "",
        recurrence=recurrence,
        remarks=remarks,
        when=recipe.preset.when,
        memory=_memory(recipe),
        paper=recipe.preset.paper,
        heads=("hyperparameter", *recipe.conventions, "range", "worth searching"),
        rows=tuple(_row(h, by) for h in (*own, *changed) if not h.initially),
        options=tuple((f"`{name}`", _value(h.default), _range(h.range), h.meaning) for name, h in OPTIONS.items()),
    )


def _parts(recipe: Recipe) -> tuple[str, str]:
    """(recurrence, remarks) from the rule's docstring, where the recurrence is indented if remarks follow."""
    text = (inspect.getdoc(recipe.rule.function) or "").partition("\n")[2].strip("\n")
    lines = text.split("\n")
    first_gap = lines.index("") if "" in lines else len(lines)
    last = max((i for i, line in enumerate(lines) if line.startswith("    ")), default=first_gap - 1)
    return textwrap.dedent("\n".join(lines[: last + 1])), " ".join(" ".join(lines[last + 1 :]).split())


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


def as_text(of: Card) -> str:
    """The card for a terminal; sentences are wrapped at 118 characters."""
    heading = f"{of.name}: {of.title}" + (f"  ({of.drop_in})" if of.drop_in else "")
    told = [*filter(None, [of.remarks]), f"When: {of.when}", f"Memory: {of.memory}.", f"Paper: {of.paper}."]
    sentences = "\n".join(textwrap.fill(sentence, 118, subsequent_indent="  ") for sentence in told)
    widths = [max(map(len, column)) for column in zip(of.heads, *of.rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (of.heads, *of.rows))
    more = textwrap.fill(
        f"As every optimizer, it also takes {', '.join(row[0] for row in of.options).replace('`', '')}.",
        118,
        subsequent_indent="  ",
    )
    return "\n\n".join([heading, textwrap.indent(of.recurrence, "    "), sentences, "\n".join(lines), more])


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
