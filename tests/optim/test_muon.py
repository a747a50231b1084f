"""Muon and NorMuon: torch's steps, every way of taking them, the parameters that they refuse, and AdamW beside them."""

import copy
import math

import pytest
import torch
from torch import nn

import thalweg.optim
from optim.trained import MODIFIED
from problems import refused
from thalweg.errors import InputError
from thalweg.execution import dispatch
from thalweg.optim import functional
from thalweg.optim.stepping.fast_path import FastPath

CLASSES = (thalweg.optim.Muon, thalweg.optim.NorMuon)
SHAPES = ((4, 6), (4, 6), (6, 4), (5, 5), (6, 2, 2, 3), (4, 6))
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
every_nesterov = pytest.mark.parametrize("nesterov", [True, False], ids=["nesterov", "plain"])
every_factor = pytest.mark.parametrize("factor", ["original", "match_rms_adamw"])
every_shape = pytest.mark.parametrize("shape", [(20, 12), (12, 20), (16, 16)], ids=str)


@pytest.fixture
def in_float64(monkeypatch):
    """torch's Muon casts to bfloat16, into memory of its own; here to float64."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda x: x.to(torch.float64, copy=True))


def drawn(shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def step(optimizer, params, number):
    """One step, on gradients that are the same for parameters of as many elements."""
    for i, p in enumerate(params):
        p.grad = drawn(p.numel(), 100 * number + i + 1).view(p.shape).to(p.dtype)
    optimizer.step()


def trained(cls, *starts, steps=8, **options):
    params = [nn.Parameter(start.clone()) for start in starts]
    optimizer = cls(params, **{"lr": 0.05, **options})
    for number in range(steps):
        step(optimizer, params, number)
    return [p.detach() for p in params], optimizer


def pair(shape, dtype, nesterov, factor):
    """(optimizer, its parameter) of ours and of torch's."""
    own = {"match_rms_adamw": factor == "match_rms_adamw"}
    for cls, given in ((thalweg.optim.Muon, own), (torch.optim.Muon, {"adjust_lr_fn": factor})):
        p = nn.Parameter(drawn(shape, dtype=dtype))
        yield cls([p], lr=0.1, nesterov=nesterov, **given), p


@every_shape
@every_nesterov
@every_factor
def test_each_update_is_torchs_as_far_as_bfloat16_tells(shape, nesterov, factor):
    (ours, p), (theirs, q) = pair(shape, torch.float32, nesterov, factor)
    for number in range(20):
        p.data.copy_(q)
        if number:
            ours.state[p]["momentum_buffer"].copy_(theirs.state[q]["momentum_buffer"])
        before = q.detach().clone()
        step(ours, [p], number)
        step(theirs, [q], number)
        assert (p - q).norm() <= 0.04 * (q - before).norm()


@pytest.mark.usefixtures("in_float64")
@every_shape
@every_nesterov
@every_factor
def test_the_path_is_torchs_in_float64(shape, nesterov, factor):
    (ours, p), (theirs, q) = pair(shape, torch.float64, nesterov, factor)
    for number in range(100):
        step(ours, [p], number)
        step(theirs, [q], number)
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("value", [0.0, 1e-200, 1e-12, 1e30, math.inf, math.nan])
def test_gradients_at_the_ends_of_the_range_are_torchs(value):
    """A matrix whose norm is no number has no direction, all of it; one below eps has nearly none."""
    (ours, p), (theirs, q) = pair((3, 4), torch.float64, True, "original")
    for number in range(4):
        for at, optimizer in ((p, ours), (q, theirs)):
            at.grad = drawn((3, 4), number) * (value if number % 2 else 1.0)
            optimizer.step()
    torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12, equal_nan=True)


def by_class(cls, start, **options):
    return trained(cls, start, **options)[0][0]


def by_functions(cls, start):
    init, update = functional(cls.recipe, lr=0.05)
    params = {"w": start}
    states = init(params)
    for number in range(8):
        params, states = update({"w": drawn(start.numel(), 100 * number + 1).view(start.shape)}, states, params)
    return params["w"]


@every_class
def test_a_convolution_is_a_matrix_of_its_filters(cls):
    start = drawn((6, 3, 2, 2))
    flat = by_class(cls, start.flatten(1))
    ways = by_class(cls, start), by_class(cls, start, capturable=True), by_functions(cls, start)
    for way in (*ways, by_class(cls, start.contiguous(memory_format=torch.channels_last))):
        torch.testing.assert_close(way.flatten(1), flat, rtol=1e-12, atol=1e-12)


@every_class
def test_parameters_together_are_each_alone(cls):
    starts = [drawn(shape, i) for i, shape in enumerate(SHAPES)]
    together, _ = trained(cls, *starts)
    apart = [nn.Parameter(start.clone()) for start in starts]
    optimizers = [cls([p], lr=0.05) for p in apart]
    for number in range(8):
        for i, (p, optimizer) in enumerate(zip(apart, optimizers, strict=True)):
            p.grad = drawn(p.numel(), 100 * number + i + 1).view(p.shape)
            optimizer.step()
    torch.testing.assert_close(together, [p.detach() for p in apart], rtol=1e-12, atol=1e-12)


@every_class
@pytest.mark.parametrize("options", MODIFIED, ids=str)
def test_prepared_steps_are_those_of_the_reference_and_of_tensors(cls, options, monkeypatch):
    starts, found, fits = [drawn(shape, i) for i, shape in enumerate(SHAPES)], [], FastPath.fits
    tensors, _ = trained(cls, *starts, capturable=True, **options)
    with monkeypatch.context() as watched:
        watched.setattr(FastPath, "fits", lambda *args: found.append(fits(*args)) or found[-1])
        prepared, _ = trained(cls, *starts, **options)
    assert found == [True] * 7
    monkeypatch.setattr(dispatch, "obstacle", refused)
    reference, _ = trained(cls, *starts, **options)
    torch.testing.assert_close(prepared, reference, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(prepared, tensors, rtol=1e-10, atol=1e-10)


@every_class
@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize(
    ("p", "why"), [(torch.ones(3), r"shape is \[3\]"), (torch.ones(2, 2) + 0j, "parameter is complex")], ids=str
)
def test_what_is_no_real_matrix_is_refused(cls, capturable, p, why):
    good, p = nn.Parameter(torch.ones(2, 2)), nn.Parameter(p)
    optimizer = cls([("weight", good), ("norm.bias", p)], capturable=capturable)
    good.grad, p.grad = torch.ones_like(good), torch.ones_like(p)
    expected = rf"^{cls.__name__} cannot step parameter 'norm.bias': it steps whole .*{why}.* group with adamw=True"
    with pytest.raises(InputError, match=expected) as told:
        optimizer.step()
    assert "\n" not in str(told.value)
    assert torch.equal(good, torch.ones(2, 2))


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("held", [torch.ones(1, 4), torch.ones(4), torch.ones(4, 6), 1.0], ids=lambda x: str(x)[:30])
def test_a_state_of_another_shape_is_refused(held, capturable):
    _, optimizer = trained(thalweg.optim.NorMuon, drawn((4, 6)), capturable=capturable)
    (p,) = optimizer.param_groups[0]["params"]
    before = p.detach().clone()
    optimizer.state[p]["row_mean_square"] = held
    with pytest.raises(InputError, match=r"its 'row_mean_square' must be a tensor of shape \[4, 1\] on cpu"):
        optimizer.step()
    assert torch.equal(p, before)


@every_class
@pytest.mark.parametrize("options", [{}, {"capturable": True}, {"weight_decay": 0.0}], ids=str)
def test_the_others_are_stepped_by_adamw(cls, options):
    starts = [drawn(5), drawn(()), drawn((2, 3)) + 1j * drawn((2, 3), 1)]
    plain, _ = trained(thalweg.optim.AdamW, *starts, betas=(0.9, 0.95), eps=1e-8, **{"weight_decay": 0.1} | options)
    params, matrix = [nn.Parameter(start.clone()) for start in starts], nn.Parameter(drawn((3, 4)))
    optimizer = cls([{"params": [matrix]}, {"params": params, "adamw": True}], lr=0.05, **options)
    for number in range(8):
        step(optimizer, [*params, matrix], number)
    assert all(map(torch.equal, params, plain))
    assert set(optimizer.state[params[0]]) == {"step", "exp_avg", "exp_avg_sq"}
    assert not {"exp_avg", "exp_avg_sq"} & set(optimizer.state[matrix])


@every_class
def test_a_checkpoint_goes_on_bitwise(cls):
    starts = [drawn(shape, i, torch.float32) for i, shape in enumerate(SHAPES)]
    whole, _ = trained(cls, *starts, steps=12)
    half, first = trained(cls, *starts, steps=5)
    params = [nn.Parameter(p.clone()) for p in half]
    resumed = cls(params)
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    for p in params if cls is thalweg.optim.NorMuon else ():
        assert resumed.state[p]["row_mean_square"].shape == (len(p), 1)
    for number in range(5, 12):
        step(resumed, params, number)
    assert all(map(torch.equal, params, whole))


@pytest.mark.usefixtures("in_float64")
def test_a_checkpoint_of_torch_goes_on():
    (ours, p), (theirs, q) = pair((5, 7), torch.float64, False, "original")
    for number in range(5):
        step(theirs, [q], number)
    p.data.copy_(q)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours.state[p]["momentum_buffer"], theirs.state[q]["momentum_buffer"])
    for number in range(5, 10):
        step(ours, [p], number)
        step(theirs, [q], number)
    torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


@every_class
def test_parameters_in_bfloat16_end_where_those_in_float32_do(cls):
    start = drawn((12, 20), dtype=torch.bfloat16)
    wide = nn.Parameter(start.float())
    (low,), optimizer = trained(cls, start, steps=6, rounding="nearest")
    exact = cls([wide], lr=0.05)
    for number in range(6):
        wide.grad = drawn(240, 100 * number + 1).view(12, 20).bfloat16().float()
        exact.step()
    assert optimizer.state[optimizer.param_groups[0]["params"][0]]["momentum_buffer"].dtype == torch.float32
    off = 3 * torch.finfo(torch.bfloat16).eps  # six times half an ulp
    torch.testing.assert_close(low.float(), wide.detach(), rtol=off, atol=off)
    assert (wide - start).norm() > 4 * (low - wide).norm()


@every_class
def test_states_in_eight_bits_change_little(cls):
    start = drawn((64, 80), dtype=torch.float32)
    (plain,), _ = trained(cls, start)
    (low,), optimizer = trained(cls, start, state_dtype="8bit")
    held = optimizer.state[optimizer.param_groups[0]["params"][0]]
    assert held["momentum_buffer"].dtype == torch.uint8
    assert all(held[name].dtype == torch.float32 for name in held.keys() & {"row_mean_square"})
    assert (low - plain).norm() <= 0.05 * (plain - start).norm()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3)], ids=str)
@every_class
def test_a_matrix_without_elements_rests(cls, shape):
    _, optimizer = trained(cls, torch.zeros(shape))
    (state,) = optimizer.state.values()
    assert not any(value.isnan().any() for value in state.values())


@pytest.mark.parametrize("adjust", [None, "original", "match_rms_adamw"])
def test_what_torchs_groups_ask_for_is_taken_over(adjust):
    p = torch.nn.Parameter(torch.randn(6, 4))
    theirs = torch.optim.Muon([p], adjust_lr_fn=adjust)
    ours = [thalweg.optim.Muon(theirs.param_groups), thalweg.optim.Muon([p], match_rms_adamw=adjust is None)]
    ours[1].load_state_dict(theirs.state_dict())
    for each in ours:
        (group,) = each.param_groups
        assert group["match_rms_adamw"] == (adjust == "match_rms_adamw")
        assert not {"adjust_lr_fn", "ns_steps", "ns_coefficients"} & group.keys()


@pytest.mark.parametrize(("key", "value"), [("ns_steps", 7), ("ns_coefficients", (2.0, -1.5, 0.5))])
def test_other_iterations_of_torchs_are_refused(key, value):
    p = torch.nn.Parameter(torch.randn(6, 4))
    theirs = torch.optim.Muon([p], **{key: value})
    with pytest.raises(InputError, match=key):
        thalweg.optim.Muon(theirs.param_groups)
    with pytest.raises(InputError, match=key):
        thalweg.optim.Muon([p]).load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("size", [1e-25, 1e19, 1e30])
def test_gradients_whose_squares_overflow(size):
    g = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    ends = []
    for factor in (1.0, size):
        p = nn.Parameter(torch.zeros(4, 6))
        p.grad = g * factor
        thalweg.optim.Muon([p], lr=1.0, eps=0.0).step()
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-4)


@every_class
def test_a_derivative_where_the_gradient_is_zero(cls):
    scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    p = torch.ones(3, 4, dtype=torch.float64).requires_grad_() * 1.0
    p.grad = torch.ones(3, 4, dtype=torch.float64) * scale
    cls([p], differentiable=True).step()
    (found,) = torch.autograd.grad(p.sum(), scale)
    assert torch.isfinite(found)


def test_functional_takes_matrices_only():
    init, update = functional("muon", lr=0.1)
    parameters = {"b": torch.ones(3)}
    with pytest.raises(
        InputError, match=r"muon cannot step the parameter 'b': it steps whole real matrices, .* shape is \[3\]"
    ):
        update({"b": torch.ones(3)}, init(parameters), parameters)
