"""`torch.amp.GradScaler` does to Thalweg's classes as to torch's: gradients, skipped steps, the scale.

What PyTorch's tests of its scaler assert, for every class; and what trainers conclude from an optimizer's attributes.
"""

import copy
import pickle

import pytest
import torch
from torch import nn

import thalweg.optim
from thalweg.errors import InputError
from thalweg.optim.classes import drop_ins

SCALE = 2.0**10  # a power of two, so that nothing is rounded
SLOPE = torch.tensor([[2.0, -1.0, 0.5], [-0.5, 1.0, 0.25]])
every_class = pytest.mark.parametrize("cls", drop_ins().values(), ids=drop_ins())
fused_or_not = pytest.mark.parametrize("fused", [None, True])


class Scaled:
    """A parameter, its optimizer and a scaler; counts the steps that hooks see."""

    def __init__(self, cls, scaler=None, **options):
        self.p = nn.Parameter(torch.ones(2, 3))
        self.optimizer = cls([self.p], **options)
        self.scaler = scaler or torch.amp.GradScaler("cpu", init_scale=SCALE)
        self.steps = 0
        self.optimizer.register_step_post_hook(lambda *_: setattr(self, "steps", self.steps + 1))

    def backward(self, slope=SLOPE):
        self.optimizer.zero_grad()
        self.scaler.scale((slope * self.p).sum()).backward()


@every_class
@fused_or_not
def test_gradients_are_unscaled_after_the_step(cls, fused):
    of = Scaled(cls, fused=fused)
    of.backward()
    assert of.p.grad.equal(SCALE * SLOPE)
    of.scaler.step(of.optimizer)
    assert of.p.grad.equal(SLOPE)


@every_class
def test_an_overflow_skips_the_step_and_lowers_the_scale(cls):
    of = Scaled(cls)
    before, state = of.p.detach().clone(), copy.deepcopy(of.optimizer.state_dict()["state"])
    of.backward(torch.tensor([1.0, torch.inf, 1.0]))
    of.scaler.step(of.optimizer)
    of.scaler.update()
    assert of.p.equal(before)
    assert str(of.optimizer.state_dict()["state"]) == str(state)
    assert (of.steps, of.scaler.get_scale()) == (0, SCALE / 2)
    of.backward()
    of.scaler.step(of.optimizer)
    assert of.steps == 1


@every_class
def test_unscaled_beforehand_gradients_can_be_clipped(cls):
    of, plain = Scaled(cls), Scaled(cls)
    of.backward()
    of.scaler.unscale_(of.optimizer)
    assert of.p.grad.equal(SLOPE)
    nn.utils.clip_grad_norm_([of.p], 0.5)
    of.scaler.step(of.optimizer)
    plain.p.grad = SLOPE.clone()
    nn.utils.clip_grad_norm_([plain.p], 0.5)
    plain.optimizer.step()
    assert of.p.equal(plain.p)
    assert of.p.grad.equal(plain.p.grad)


@pytest.mark.parametrize("calls", [("unscale_", "unscale_"), ("step", "unscale_"), ("step", "step")], ids=str)
@fused_or_not
def test_calls_out_of_order_are_refused_by_the_scaler(calls, fused):
    of = Scaled(thalweg.optim.Adam, fused=fused)
    of.backward()
    first, second = (getattr(of.scaler, name) for name in calls)
    first(of.optimizer)
    with pytest.raises(RuntimeError, match=r"called|after step"):
        second(of.optimizer)


@every_class
@fused_or_not
@pytest.mark.parametrize("unscaled", [False, True])
def test_an_infinity_in_one_of_two_optimizers_skips_only_that(cls, fused, unscaled):
    one = Scaled(cls, fused=fused)
    other = Scaled(thalweg.optim.SGD, one.scaler, lr=0.1, fused=fused)
    one.backward(torch.tensor([torch.inf, 1.0, 1.0]))
    other.backward()
    if unscaled:
        one.scaler.unscale_(one.optimizer)
    for of in (one, other):
        of.scaler.step(of.optimizer)
    one.scaler.update()
    assert one.p.equal(torch.ones(2, 3))
    torch.testing.assert_close(other.p.detach(), 1 - 0.1 * SLOPE)
    assert one.scaler.get_scale() == SCALE / 2


def test_a_disabled_scaler_steps_plainly():
    of = Scaled(thalweg.optim.Adam, torch.amp.GradScaler("cpu", enabled=False))
    of.backward()
    of.scaler.step(of.optimizer)
    assert of.p.grad.equal(SLOPE)
    assert of.steps == 1


@fused_or_not
def test_gradients_in_several_groups_and_dtypes(fused):
    ps = [nn.Parameter(torch.ones(2, dtype=dtype)) for dtype in (torch.float32, torch.float64, torch.bfloat16)]
    optimizer = thalweg.optim.SGD([{"params": [p]} for p in ps], lr=0.25, fused=fused, rounding="nearest")
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    scaler.scale(sum(p.sum().float() for p in ps)).backward()
    scaler.step(optimizer)
    assert all(p.grad.eq(1).all() and p.eq(0.75).all() for p in ps)


@fused_or_not
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_sparse_gradients(fused, dtype):
    table = nn.Embedding(5, 2, sparse=True, dtype=dtype)
    nn.init.ones_(table.weight)
    optimizer = thalweg.optim.SGD(table.parameters(), lr=0.25, fused=fused, rounding="nearest")
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    scaler.scale(table(torch.tensor([1, 3, 3])).sum().float()).backward()
    scaler.step(optimizer)
    torch.testing.assert_close(table.weight[:, 0].float(), torch.tensor([1, 0.75, 1, 0.5, 1]))
    assert table.weight.grad.to_dense()[:, 0].tolist() == [0, 1, 0, 2, 0]


def fused_attribute(optimizer):
    """What Lightning, Fabric and the scaler read."""
    return getattr(optimizer, "_step_supports_amp_scaling", False)


@every_class
def test_only_a_fused_optimizer_says_that_it_unscales(cls):
    p = nn.Parameter(torch.ones(1))
    assert not hasattr(cls([p]), "_step_supports_amp_scaling")
    fused = cls([p], fused=True)
    assert all(map(fused_attribute, (fused, copy.deepcopy(fused), pickle.loads(pickle.dumps(fused)))))


@pytest.mark.parametrize("capturable", [False, True])
def test_a_fused_optimizer_is_told_of_an_overflow(capturable):
    """Its step is called, as torch's, and changes nothing."""
    of = Scaled(thalweg.optim.Adam, fused=True, capturable=capturable)
    of.backward(torch.tensor([1.0, torch.nan, 1.0]))
    of.scaler.step(of.optimizer)
    assert of.p.equal(torch.ones(2, 3))
    assert of.steps == 1


@every_class
def test_a_scaled_loss_takes_the_same_steps_in_float16(cls):
    """In fused optimizers: gradients below float16's smallest number still count. Others are refused by the scaler."""
    p = nn.Parameter(torch.zeros(2, 2, dtype=torch.float16))
    with pytest.raises(ValueError, match="FP16"):
        _step_in_float16(cls([p]), p)
    optimizer = cls([p], lr=16.0, fused=True, rounding="nearest", state_dtype=None)
    _step_in_float16(optimizer, p)
    other = nn.Parameter(torch.zeros(2, 2, dtype=torch.float32))
    wide = cls([other], lr=16.0)
    other.grad = torch.full((2, 2), 2.0**-26)
    wide.step()
    torch.testing.assert_close(p.detach().float(), other.detach(), rtol=2**-10, atol=2.0**-24)
    for name, value in wide.state[other].items():
        if name in ("exp_avg", "exp_avg_sq", "momentum_buffer", "square_avg"):
            torch.testing.assert_close(optimizer.state[p][name], value, rtol=1e-6, atol=0.0)


def _step_in_float16(optimizer, p):
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    optimizer.zero_grad()
    scaler.scale((p * 2.0**-16).sum() * 2.0**-10).backward()
    scaler.step(optimizer)


def test_fused_and_differentiable_do_not_go_together():
    with pytest.raises(InputError, match="fused=True do not go together"):
        thalweg.optim.Adam([torch.ones(1)], fused=True, differentiable=True)
