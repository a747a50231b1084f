"""Every class does what people do with a `torch.optim.Optimizer`; the table of the docs is made of the same checks."""

import pytest
import torch

from scope import in_turns, typical
from thalweg.optim.classes import drop_ins
from thalweg.testing.capabilities import CAPABILITIES


@pytest.mark.parametrize(("name", "capability"), in_turns(typical(drop_ins()), CAPABILITIES))
def test_every_optimizer_has_it(name, capability):
    cls = drop_ins()[name]
    said = CAPABILITIES[capability](cls)
    assert (said is not None) == (capability == "sparse gradients" and bool(cls.recipe.rule.dense))


@pytest.mark.parametrize("name", drop_ins())
def test_a_rate_of_zero_harms_nothing(name):
    """Where a schedule begins or ends; what was learned before may still move the parameter, or rest."""
    p = torch.nn.Parameter(torch.ones(4))
    optimizer = drop_ins()[name]([p])
    usual = optimizer.param_groups[0]["lr"]
    for rate in (0.0, usual, usual, 0.0, usual):
        optimizer.param_groups[0]["lr"] = rate
        p.grad = torch.tensor([1.0, -1.0, 0.5, 0.0])
        optimizer.step()
        assert torch.isfinite(p).all()
