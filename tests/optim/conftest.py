"""Every test of the drop-ins fails where its steps move nothing, unless it says that they need not."""

from collections.abc import Iterator

import pytest
import torch

from optim.movement import Movement

TINY = ("AdaMod", "ADOPT")
"""Classes whose first steps, at their defaults, are smaller than half an ulp of bfloat16 and float16 at 1."""


@pytest.fixture(autouse=True)
def steps_move(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the test, every parameter that an optimizer of it stepped must have moved, and its state changed."""
    if request.node.get_closest_marker("rests") or _too_small(request):
        yield
        return
    movement = Movement()
    with movement.watched():
        yield
    assert not (found := movement.complaints()), "\n".join(found)


def _too_small(request: pytest.FixtureRequest) -> bool:
    """Whether the case is one of `TINY` with a parameter or a state in few bits."""
    given = list(request.node.callspec.params.values()) if hasattr(request.node, "callspec") else []
    names = {value for value in given if isinstance(value, str)}
    return bool(names & {*TINY}) and any(
        value in (torch.bfloat16, torch.float16) for value in given if isinstance(value, torch.dtype)
    )
