"""Every test of the drop-ins fails where its steps move nothing, unless it says that they need not."""

from collections.abc import Iterator

import pytest

from optim.movement import Movement


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rests(reason): a parameter with a gradient may stay where it is in this test")


@pytest.fixture(autouse=True)
def steps_move(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the test, every parameter that an optimizer of it stepped must have moved, and its state changed."""
    if request.node.get_closest_marker("rests"):
        yield
        return
    movement = Movement()
    with movement.watched():
        yield
    assert not (found := movement.complaints()), "\n".join(found)
