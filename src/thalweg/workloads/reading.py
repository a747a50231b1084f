"""What readers of a user's files share: their warning, and the limit of memory."""

import os

from thalweg.errors import InputError


class DataWarning(UserWarning):
    """Something in a user's data is left out, or read in a way that may not be meant."""


def require_memory(needed: int, what: str, remedy: str) -> None:
    """Raises `InputError` if `needed` bytes are more than the machine's memory; passes where that is unknown."""
    there = memory_bytes()
    if there is not None and needed > there:
        raise InputError(f"{what} need {needed:,} bytes, and the memory has {there:,}: {remedy}.")


def memory_bytes() -> int | None:
    """The machine's physical memory in bytes; `None` where the system does not say, as on Windows."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
