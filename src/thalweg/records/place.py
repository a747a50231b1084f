"""Whether a study can be stored in a directory."""

import tempfile
from pathlib import Path

from thalweg.errors import InputError, shown


def require_writable(directory: Path | None) -> None:
    """Raises `InputError` unless the directory, if there is one, can be made and written to; leaves nothing behind."""
    if directory is None:
        return
    nearest = next(place for place in (directory, *directory.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".thalweg-", dir=nearest):
            pass
    except OSError as error:
        what = "be written to" if nearest == directory else "be created"
        raise InputError(
            f"out cannot {what}: {shown(directory)} ({error.strerror}); choose another directory."
        ) from None
