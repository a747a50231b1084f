"""What all attempts share."""

import pytest


@pytest.fixture(autouse=True)
def populations_wherever_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: whether a population is quicker is measured, and would be chance here."""
    monkeypatch.setattr("thalweg.population.choice.time_together", lambda *_: 0.0)
