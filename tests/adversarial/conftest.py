"""What all attempts share, and how many of them `make test` repeats."""

import zlib
from pathlib import Path

import pytest

from scope import THOROUGH

SHARES = {"test_round": 6, "test_compare_": 3}
"""Of the files that begin so, the part of the tests that is repeated: a sixth, a third."""


@pytest.fixture(autouse=True)
def populations_wherever_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: whether a population is quicker is measured, and would be chance here."""
    monkeypatch.setattr("thalweg.population.planning.backend.time_together", lambda *_: 0.0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of many attempts a share, the same at every run and in every process; `make conformance` repeats all."""
    chosen = [arg.partition("::")[0] for arg in config.args]
    named = any(Path(arg).name.startswith((*SHARES,)) for arg in chosen)  # whoever asks for a file gets all of it
    left = [item for item in items if not (THOROUGH or named) and _is_left(item)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def _is_left(item: pytest.Item) -> bool:
    share = next((share for begin, share in SHARES.items() if item.path.name.startswith(begin)), 1)
    return zlib.crc32(item.nodeid.encode()) % share > 0
