"""Every class does what people do with a `torch.optim.Optimizer`; the table of the docs is made of the same checks."""

import pytest

from thalweg.optim.classes import drop_ins
from thalweg.testing.capabilities import CAPABILITIES


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("name", drop_ins())
def test_every_optimizer_has_it(name, capability):
    cls = drop_ins()[name]
    said = CAPABILITIES[capability](cls)
    assert (said is not None) == (capability == "sparse gradients" and bool(cls.recipe.rule.dense))
