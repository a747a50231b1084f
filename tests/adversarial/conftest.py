"""What all attempts share, and how many of them `make test` repeats."""

import zlib
from pathlib import Path

import pytest

from scope import THOROUGH

ROUNDS, SHARE = "test_round", 6


@pytest.fixture(autouse=True)
def populations_wherever_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: whether a population is quicker is measured, and would be chance here."""
    monkeypatch.setattr("thalweg.population.planning.backend.time_together", lambda *_: 0.0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the later rounds a sixth, the same at every run and in every process; `make conformance` repeats all."""
    chosen = [arg.partition("::")[0] for arg in config.args]
    named = any(Path(arg).name.startswith(ROUNDS) for arg in chosen)  # whoever asks for a file gets all of it
    left = [item for item in items if not (THOROUGH or named) and _is_left(item)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def _is_left(item: pytest.Item) -> bool:
    return item.path.name.startswith(ROUNDS) and zlib.crc32(item.nodeid.encode()) % SHARE > 0
