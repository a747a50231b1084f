"""User errors, each in one sentence. The CLI prints them and exits with code 2."""

import difflib
import os
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

MOST = 10  # names listed in one sentence
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # turn the direction of what follows them
SHOWN = 80  # characters of a value that an error message repeats


class InputError(ValueError):
    """Invalid input. The message names the argument, its range or choices, the value received, and the remedy."""

    def __str__(self) -> str:
        """The message in one line: control characters, as a path may hold them, are escaped."""
        return printable(super().__str__())


def _printable(letter: str) -> str:
    return letter.encode("unicode_escape").decode() if is_control(letter) else letter


def is_control(letter: str) -> bool:
    """Whether a terminal would obey a letter rather than show it, or turn what follows."""
    return unicodedata.category(letter) in {"Cc", "Zl", "Zp"} or letter in TURNING


def printable(text: str) -> str:
    """A text in one line, without control characters: they are escaped."""
    return "".join(map(_printable, text))


class ReturnValueError(InputError):
    """Raised where the user's loss or metric returns a value that cannot be used; in training it ends its run only."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a stored study. `study`: its id in the store; `runs`: the number of finished runs."""

    def __init__(self, study: int, runs: int) -> None:
        super().__init__()
        self.study, self.runs = study, runs


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown `name`: the closest known names, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower()[:SHOWN], names, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."


def shown(value: Any) -> str:
    """`repr` of a value for an error message: one line of at most `SHOWN` characters; never raises."""
    try:
        text = " ".join(repr(os.fspath(value) if isinstance(value, os.PathLike) else value).split())
    except Exception:  # an integer of thousands of digits raises here
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def listed(names: Sequence[str], most: int = MOST) -> str:
    """`a, b and c`; beyond `most` names, `a, b and 30 others`."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def counted(number: float, noun: str) -> str:
    """`"1 run"`, `"2,000 runs"`."""
    return f"{number:,.0f} {noun}" if round(number) == 1 else f"{number:,.0f} {noun}s"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, truncated to three times `SHOWN` characters; never raises.

    Control characters, as colours of a terminal, are escaped: it is printed, stored and quoted in verdicts.
    """
    try:
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        text = "".join(map(_printable, text))
    except Exception:  # a user's exception class may raise anything in `__str__`
        text = ""
    return text if len(text) <= 3 * SHOWN else f"{text[: 3 * SHOWN - 1]}…"
