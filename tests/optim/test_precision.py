"""Parameters in bfloat16 and float16 move: rounded stochastically, or compensated."""

import io

import pytest
import torch
from torch import nn

import thalweg.optim
from problems import refused
from scope import typical
from thalweg.errors import InputError
from thalweg.execution import dispatch
from thalweg.execution.storage.rounding import merge
from thalweg.optim.classes import drop_ins

LOW = (torch.bfloat16, torch.float16)
KEEPING = ("stochastic", "compensated")
every_class = pytest.mark.parametrize("cls", typical(drop_ins()).values(), ids=list(typical(drop_ins())))
low = pytest.mark.parametrize("dtype", LOW, ids=str)


def gradients(steps, dtype, shape=(40, 50)):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=generator).to(dtype) for _ in range(steps)]


def start(dtype, shape=(40, 50)):
    return torch.linspace(-2, 2, 2000).view(shape).to(dtype)


def trained(cls, dtype, steps=6, p=None, **options):
    p = nn.Parameter(start(dtype) if p is None else p)
    optimizer = cls([p], **options)
    for gradient in gradients(steps, dtype, p.shape):
        p.grad = gradient
        optimizer.step()
    return p, optimizer


@low
@pytest.mark.parametrize("rounding", KEEPING)
@pytest.mark.parametrize("cls", [thalweg.optim.AdamW, thalweg.optim.SGD, thalweg.optim.Lion], ids=lambda c: c.__name__)
def test_small_steps_add_up(cls, rounding, dtype):
    """A weight of 1 goes down by 0.001 a hundred times, where bfloat16 knows 1/256 at best."""
    p = nn.Parameter(torch.ones(4000, dtype=dtype))
    optimizer = cls([p], lr=1e-3, weight_decay=0.0, rounding=rounding)
    for _ in range(100):
        p.grad = torch.ones_like(p)
        optimizer.step()
    deviation = torch.finfo(dtype).eps * (100 / 4000) ** 0.5  # of the mean of 4000 sums of 100 roundings
    least = torch.finfo(dtype).eps / 4 if rounding == "compensated" else 5 * deviation
    assert abs(p.double().mean().item() - 0.9) <= least


@pytest.mark.rests("a step is a quarter of what bfloat16 tells apart")
def test_to_the_nearest_they_are_lost():
    p = nn.Parameter(torch.ones(10, dtype=torch.bfloat16))
    optimizer = thalweg.optim.AdamW([p], lr=1e-3, rounding="nearest")
    for _ in range(100):
        p.grad = torch.ones_like(p)
        optimizer.step()
    assert p.eq(1.0).all()


@every_class
@pytest.mark.parametrize("by_kernel", [True, False])
def test_compensated_bfloat16_is_float32(cls, by_kernel, monkeypatch):
    """The two halves take the very steps of a float32 parameter that sees the same gradients.

    A kernel may fuse a product with a sum where another does not, half a place each.
    """
    if not by_kernel:
        monkeypatch.setattr(dispatch, "obstacle", refused)
    p, optimizer = trained(cls, torch.bfloat16, rounding="compensated")
    wide = nn.Parameter(start(torch.bfloat16).float())
    other = cls([wide])
    for gradient in gradients(6, torch.bfloat16):
        wide.grad = gradient.float()
        other.step()
    held = merge(p.detach(), optimizer.state[p]["compensation"])
    off = 20 * torch.finfo(torch.float32).eps if by_kernel else 0.0
    torch.testing.assert_close(held, wide.detach(), rtol=off, atol=off)


@every_class
@pytest.mark.parametrize("rounding", KEEPING)
def test_compiled_is_the_reference(cls, rounding, monkeypatch):
    """The same chances: what differs is rounding in float32, and moves a parameter by one place at most."""
    by_kernel, _ = trained(cls, torch.bfloat16, rounding=rounding)
    monkeypatch.setattr(dispatch, "obstacle", refused)
    by_reference, _ = trained(cls, torch.bfloat16, rounding=rounding)
    apart = (by_kernel.view(torch.int16).int() - by_reference.view(torch.int16).int()).abs()
    assert apart.max() <= 1
    assert apart.float().mean() < 0.01


@pytest.mark.parametrize("options", [{}, {"max_norm": 1e9}], ids=str)
def test_the_kernel_has_the_same_chances(options, monkeypatch):
    """Steps without any rounding in float32: bitwise, and in whatever order the memory lies."""
    ends = []
    for obstacle in (dispatch.obstacle, refused):
        monkeypatch.setattr(dispatch, "obstacle", obstacle)
        for transposed in (False, True):
            p = torch.ones(300, 301, dtype=torch.bfloat16)
            p = nn.Parameter(p.t() if transposed else p)
            optimizer = thalweg.optim.SGD([p], lr=2**-10, rounding_seed=5, **options)
            for _ in range(3):
                p.grad = torch.ones_like(p)
                optimizer.step()
            ends.append(p.detach().t() if transposed else p.detach())
    assert 0 < ends[0].ne(1).float().mean() < 1
    assert all(torch.equal(end, ends[0]) for end in ends)


def test_another_seed_other_chances():
    first, again, other = (trained(thalweg.optim.AdamW, torch.bfloat16, rounding_seed=s)[0] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@low
@pytest.mark.parametrize("options", [{}, {"max_norm": 1e6}, {"max_norm": 1e6, "capturable": True}], ids=str)
def test_stochastically_the_mean_stays_whatever_follows_the_update(options, dtype):
    """Of n draws with chance q the share that goes up is q to within 5 √(q(1-q)/n). The limit binds nowhere."""
    n, unit, share = 200_000, torch.finfo(dtype).eps, 0.5 * 0.25  # the slow weights go half of a quarter
    p = nn.Parameter(torch.ones(1000, n // 1000, dtype=dtype))
    optimizer = thalweg.optim.SGD([p], lr=1.0, lookahead_steps=1, lookahead_alpha=0.5, **options)
    p.grad = torch.full_like(p, -0.25 * unit)
    optimizer.step()
    up = ((p.detach().double() - 1) / unit).mean().item()
    assert abs(up - share) <= 5 * (share * (1 - share) / n) ** 0.5 + 2**-16


def value_of(p, optimizer):
    """A parameter with its residual, if it has one."""
    residual = optimizer.state[p].get("compensation") if p in optimizer.state else None
    return (p.detach() if residual is None else merge(p.detach(), residual)).double()


def last_place(x, dtype):
    """The unit in a dtype's last place at each number."""
    exponent = torch.frexp(x).exponent.clamp(min=-13 if dtype is torch.float16 else -125)
    return torch.ldexp(torch.full_like(x, torch.finfo(dtype).eps), exponent - 1)


@low
@pytest.mark.parametrize("options", [{}, {"lookahead_steps": 1, "lookahead_alpha": 0.5}], ids=str)
@pytest.mark.parametrize(("rounding", "share"), [("nearest", 0.5), ("stochastic", 1.0), ("compensated", 2**-17)])
@pytest.mark.parametrize("execution", ["passes", "reference", "capturable"])
def test_a_constrained_parameter_is_rounded_once(execution, rounding, share, options, dtype, monkeypatch):
    """Off the exact step by a share of a unit in the last place, and by float32's roundings: fewer than 16."""
    if execution == "reference":
        monkeypatch.setattr(dispatch, "obstacle", refused)
    p = nn.Parameter(start(dtype))
    options = {"lr": 0.05, "max_norm": 5.0, "rounding": rounding, "capturable": execution == "capturable", **options}
    optimizer, slow, units = thalweg.optim.SGD([p], **options), p.detach().double(), set()
    for gradient in gradients(6, dtype):
        before, p.grad = value_of(p, optimizer), gradient
        optimizer.step()
        exact = before - 0.05 * gradient.double()
        factor = (5.0 / exact.norm(dim=1, keepdim=True)).clamp(max=1)
        units |= {*(factor < 1).flatten().tolist()}
        exact = exact * factor
        if "lookahead_steps" in options:
            exact = slow = slow + 0.5 * (exact - slow)
        off = 16 * 2**-24 * (before.abs() + gradient.double().abs())
        assert ((value_of(p, optimizer) - exact).abs() <= share * last_place(exact, dtype) + off).all()
    assert units == {True, False}, "the limit is to bind for some rows"


def test_parameters_alike_have_chances_of_their_own():
    params = [nn.Parameter(torch.ones(1000, dtype=torch.bfloat16)) for _ in range(3)]
    optimizer = thalweg.optim.SGD([{"params": params[:2]}, {"params": params[2:]}], lr=2**-10)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert not any(torch.equal(params[i], params[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_parameter_without_a_gradient_changes_nothing_for_the_others():
    ends = []
    for frozen in (False, True):
        params = [nn.Parameter(torch.ones(1000, dtype=torch.bfloat16)) for _ in range(2)]
        optimizer = thalweg.optim.SGD(params, lr=2**-10)
        for _ in range(3):
            for p in params[frozen:]:
                p.grad = torch.ones_like(p)
            optimizer.step()
        ends.append(params[1].detach())
    assert torch.equal(*ends)


@low
@pytest.mark.parametrize("rounding", KEEPING)
@pytest.mark.parametrize("cls", [thalweg.optim.AdamW, thalweg.optim.SGD, thalweg.optim.NAdam], ids=lambda c: c.__name__)
def test_resumed_bitwise(cls, rounding, dtype):
    whole, _ = trained(cls, dtype, rounding=rounding)
    half, optimizer = trained(cls, dtype, steps=3, rounding=rounding)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    resumed = cls([half], rounding=rounding)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for gradient in gradients(6, dtype)[3:]:
        half.grad = gradient
        resumed.step()
    assert torch.equal(half, whole)


@every_class
@low
def test_states_are_float32(cls, dtype):
    p, optimizer = trained(cls, dtype, steps=1)
    held = {name: s.dtype for name, s in optimizer.state[p].items() if s.shape == p.shape}
    assert set(held.values()) <= {torch.float32}
    as_torch, optimizer = trained(cls, dtype, steps=1, state_dtype="parameter")
    assert {s.dtype for s in optimizer.state[as_torch].values() if s.shape == p.shape} <= {dtype}


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_as_torch_does_it(name):
    """Nearest, and states in bfloat16: torch's own choice. It rounds every operation, which ours rounds once."""
    ours, _ = trained(
        getattr(thalweg.optim, name), torch.bfloat16, steps=3, lr=0.1, rounding="nearest", state_dtype="parameter"
    )
    theirs, _ = trained(getattr(torch.optim, name), torch.bfloat16, steps=3, lr=0.1)
    torch.testing.assert_close(ours, theirs, rtol=2**-6, atol=2**-6)


def test_bfloat16_states_of_float32_parameters():
    """A moment is off by an ulp of 2^-8 at most, mostly by less, and so is the way that a parameter goes."""
    p, optimizer = trained(thalweg.optim.Adam, torch.float32, state_dtype=torch.bfloat16)
    assert optimizer.state[p]["exp_avg"].dtype == torch.bfloat16
    assert optimizer.param_groups[0]["state_dtype"] == "bfloat16"
    plain, _ = trained(thalweg.optim.Adam, torch.float32)
    way = (plain - start(torch.float32)).norm()
    assert 0 < (p - plain).norm() <= 2**-8 * way


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rounding": "up"}, "rounding must be one of stochastic, compensated, nearest, got 'up'"),
        ({"rounding": None}, "rounding must be one of"),
        ({"state_dtype": "4bit"}, "state_dtype must be one of parameter, bfloat16, 8bit, got '4bit'"),
        ({"state_dtype": torch.float64}, "got 'float64'"),
        ({"rounding_seed": -1}, "rounding_seed must be a whole number from 0"),
        ({"rounding_seed": 0.5}, "rounding_seed must be a whole number from 0"),
    ],
)
def test_refusals(given, message):
    with pytest.raises(InputError, match=message):
        thalweg.optim.Adam([torch.zeros(1)], **given)
    with pytest.raises(InputError, match=message):
        thalweg.optim.Adam([{"params": [torch.zeros(1)], **given}])


def test_averages_in_bfloat16_move():
    """A second moment of 0.1% a step, which the nearest bfloat16 never leaves."""
    p = nn.Parameter(torch.zeros(200))
    optimizer = thalweg.optim.Adam([p], state_dtype="bfloat16")
    for gradient in (1.0, 0.01):
        for _ in range(1500):
            p.grad = torch.full_like(p, gradient)
            optimizer.step()
    second = optimizer.state[p]["exp_avg_sq"]
    assert second.dtype == torch.bfloat16
    assert second.float().mean().item() == pytest.approx(0.999**1500 * (1 - 0.999**1500), rel=0.1)
    averaged = thalweg.optim.SGD([p], ema_decay=0.999, state_dtype="bfloat16")
    averaged.step()
    assert averaged.state[p]["ema_weights"].dtype == torch.float32


def test_small_steps_in_float16_are_compensated_at_any_size():
    p = nn.Parameter(torch.full((10,), 1e-3, dtype=torch.float16))
    start = p.float().mean().item()
    optimizer = thalweg.optim.SGD([p], lr=2e-8, rounding="compensated")
    for _ in range(1000):
        p.grad = torch.ones_like(p)
        optimizer.step()
    assert start - p.float().mean().item() == pytest.approx(2e-5, rel=0.05)


def test_a_model_may_change_its_dtype_while_compensated():
    p = nn.Parameter(torch.ones(10, dtype=torch.bfloat16))
    optimizer = thalweg.optim.SGD([p], lr=1e-4, rounding="compensated")
    for step in range(100):
        if step == 50:
            p.data = p.data.half()
        p.grad = torch.ones_like(p)
        optimizer.step()
    assert p.float().mean().item() == pytest.approx(0.99, abs=2**-8)


def test_states_in_few_bits_are_rounded_stochastically_at_every_step():
    """Also where the parameter is compensated, and once it is made ready to be stepped again."""
    p = nn.Parameter(torch.zeros(500, dtype=torch.bfloat16))
    optimizer = thalweg.optim.Adam([p], rounding="compensated", state_dtype="parameter")
    for _ in range(400):
        p.grad = torch.ones_like(p)
        optimizer.step()
    second = optimizer.state[p]["exp_avg_sq"]
    assert second.dtype == torch.bfloat16
    assert second.float().mean().item() == pytest.approx(1 - 0.999**400, rel=0.05)
