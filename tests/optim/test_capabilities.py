"""Every class does what people do with a `torch.optim.Optimizer`; the table of the docs is made of the same checks."""

import pytest
import torch

from scope import in_turns, typical
from thalweg.optim.classes import drop_ins
from thalweg.testing.capabilities import CAPABILITIES

RESTS = {("AdaMod", "float64 to float16, complex"): "its first steps are smaller than half an ulp of float16"}


def marked(name, capability):
    reason = RESTS.get((name, capability))
    return pytest.param(name, capability, marks=[pytest.mark.rests(reason)] if reason else [])


@pytest.mark.parametrize(
    ("name", "capability"), [marked(*pair) for pair in in_turns(typical(drop_ins()), CAPABILITIES)]
)
def test_every_optimizer_has_it(name, capability):
    cls = drop_ins()[name]
    refusal = CAPABILITIES[capability](cls)
    refused = {
        "sparse gradients": bool(cls.recipe.rule.sparse_unsupported),
        "decay, coupled and decoupled": "weight_decay" in cls.recipe.rule.hyperparameters,
        "float64 to float16, complex": bool(cls.recipe.rule.others),
        "8-bit states": cls.recipe.name in ("sgd", "signsgd", "asgd", "schedule_free_sgd"),
    }
    assert (refusal is not None) == refused.get(capability, False), refusal


@pytest.mark.parametrize("name", drop_ins())
def test_a_rate_of_zero_harms_nothing(name):
    """Where a schedule begins or ends; what was learned before may still move the parameter, or rest."""
    p = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = drop_ins()[name]([p])
    usual = optimizer.param_groups[0]["lr"]
    for rate in (0.0, usual, usual, 0.0, usual):
        optimizer.param_groups[0]["lr"] = rate
        p.grad = torch.tensor([[1.0, -1.0], [0.5, 0.0]])
        optimizer.step()
        assert torch.isfinite(p).all()
