"""Numbers that a rule keeps for each parameter are computed in the dtype that they are held in, as torch's are."""

import pytest
import torch
from torch import nn

import thalweg.optim

STEPS = 50
every_path = pytest.mark.parametrize("options", [{}, {"capturable": True}], ids=["pass", "tensors"])


def trained(cls, dtype, steps=STEPS, **options):
    """NAdam's product of momenta after some steps, from the second on in this dtype."""
    p = nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = cls([p], lr=0.01, **options)
    for step in range(steps):
        p.grad = torch.tensor([0.3, -1.0], dtype=torch.float64) + step
        optimizer.step()
        if step == 0:
            optimizer.state[p]["mu_product"] = optimizer.state[p]["mu_product"].to(dtype)
    return optimizer.state[p]["mu_product"], p.detach()


@every_path
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_products_stay_as_exact_as_they_are_held(dtype, options):
    ours, theirs = trained(thalweg.optim.NAdam, dtype, **options), trained(torch.optim.NAdam, dtype)
    assert ours[0].dtype == theirs[0].dtype == dtype
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-6 if dtype == torch.float32 else 1e-14, atol=0.0)
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-12, atol=1e-12)


@every_path
def test_under_a_default_dtype_of_float64(options):
    torch.set_default_dtype(torch.float64)
    try:
        (ours, _), (theirs, _) = (
            trained(cls, torch.float64, **more)
            for cls, more in ((thalweg.optim.NAdam, options), (torch.optim.NAdam, {}))
        )
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0.0)


@every_path
def test_a_product_begun_in_float32_stays_there(options):
    """The default dtype of another time decides nothing."""
    ends = []
    for cls, more in ((thalweg.optim.NAdam, options), (torch.optim.NAdam, {})):
        p = nn.Parameter(torch.ones(2, dtype=torch.float64))
        optimizer = cls([p], **more)
        for step in range(12):
            p.grad = torch.ones_like(p)
            if step == 2:
                torch.set_default_dtype(torch.float64)
            try:
                optimizer.step()
            finally:
                torch.set_default_dtype(torch.float32)
        assert optimizer.state[p]["mu_product"].dtype == torch.float32
        ends.append(optimizer.state[p]["mu_product"])
    torch.testing.assert_close(*ends, rtol=1e-6, atol=0.0)


@every_path
def test_parameters_of_one_group_with_products_in_two_dtypes(options):
    """As after a checkpoint that brought some of them."""
    ends = []
    for cls, more in ((thalweg.optim.NAdam, options), (torch.optim.NAdam, {})):
        ps = [nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(3)]
        optimizer = cls(ps, **more)
        for step in range(30):
            for p in ps:
                p.grad = torch.ones_like(p) * (step + 1)
            optimizer.step()
            if step == 0:
                optimizer.state[ps[1]]["mu_product"] = optimizer.state[ps[1]]["mu_product"].double()
        ends.append([optimizer.state[p]["mu_product"] for p in ps])
    for ours, theirs in zip(*ends, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6 if ours.dtype == torch.float32 else 1e-14, atol=0.0)
