"""A pytest plugin: of a thorough run (`THALWEG_THOROUGH=1`) what `make test` leaves out.

Which tests those are, a collection of the suite in another process says; one is the same if its id and its parameters
are. A test that asks more of itself in a thorough run is marked `asks_more`, and is run again.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

LIST, WRITES = "THALWEG_TESTS_OF_THE_SUITE", "THALWEG_TESTS_ARE_LISTED"
"""Variables of the environment: the path of the list, and whether this process writes it."""


def pytest_configure() -> None:
    """Lists the suite's tests, once for all processes."""
    if LIST in os.environ:
        return
    handle, os.environ[LIST] = tempfile.mkstemp(suffix=".txt")
    os.close(handle)
    environment = {key: value for key, value in os.environ.items() if key != "THALWEG_THOROUGH"} | {WRITES: "1"}
    command = [sys.executable, "-m", "pytest", "-p", __name__, "--collect-only", "--quiet"]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the list, in the process that the workers belong to."""
    if WRITES not in os.environ and not hasattr(config, "workerinput"):
        Path(os.environ[LIST]).unlink(missing_ok=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    path = Path(os.environ[LIST])
    if WRITES in os.environ:
        path.write_text("".join(f"{_key(item)}\n" for item in items if not _is_skipped(item)))
        return
    suite = set(path.read_text().split())
    done = [item for item in items if _key(item) in suite and not item.get_closest_marker("asks_more")]
    config.hook.pytest_deselected(items=done)
    items[:] = [item for item in items if item not in set(done)]


def _key(item: pytest.Item) -> str:
    """Of the id and of the parameters: an id may be a number, which is another one's in a longer list."""
    given = item.callspec.params if hasattr(item, "callspec") else {}
    written = [item.nodeid, *(f"{name}={_written(value)}" for name, value in given.items())]
    return hashlib.sha256(" ".join(written).encode(errors="surrogatepass")).hexdigest()


def _is_skipped(item: pytest.Item) -> bool:
    return any(mark.args and mark.args[0] is True for mark in item.iter_markers("skipif"))


def _written(value: object) -> str:
    if isinstance(value, set | frozenset):  # whose order differs between processes
        return f"{type(value).__name__} {sorted(map(_written, value))}"
    try:
        return re.sub(r" at 0x\w+", "", repr(value))
    except ValueError:  # a whole number of too many digits
        return type(value).__name__
