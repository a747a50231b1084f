"""What a user did wrong, told in one sentence. The CLI prints these and exits with 2."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used: says what, which range or choice, what arrived, and what to do."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a study that is kept. `study`: its id there; `runs`: how many have finished."""

    def __init__(self, study: int, runs: int) -> None:
        super().__init__()
        self.study, self.runs = study, runs


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown `name`: the nearest known names, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
