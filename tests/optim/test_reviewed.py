"""What reviewers found: each was wrong once."""

import copy
import warnings
from collections import OrderedDict

import pytest
import torch
from torch import nn

import thalweg.optim
from thalweg.errors import InputError
from thalweg.execution.storage.rounding import stochastic
from thalweg.optim import LostUpdates, OptimizerWarning, functional, layerwise
from thalweg.optim.stepping import diagnostics


def test_two_models_whose_parameters_share_names_go_by_order():
    def of(a, b):
        return thalweg.optim.Adam(
            [{"params": list(a.named_parameters())}, {"params": list(b.named_parameters()), "lr": 0.5}]
        )

    a, b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    first = of(a, b)
    a.weight.grad, b.weight.grad = torch.ones(2, 2), torch.full((2, 2), 5.0)
    first.step()
    second = of(a, b)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert [second.state[m.weight]["exp_avg"][0, 0].item() for m in (a, b)] == pytest.approx([0.1, 0.5])
    assert [group["lr"] for group in second.param_groups] == [1e-3, 0.5]


@pytest.mark.parametrize("state_dtype", ["8bit", "bfloat16"])
@pytest.mark.parametrize("name", ["AdamWScheduleFree", "SGDScheduleFree", "MADGRAD", "ASGD"])
def test_states_that_hold_weights_keep_their_bits(name, state_dtype):
    """One small gradient, then none: the parameter goes no further than it would."""
    moved = []
    for held in (None, state_dtype):
        p = nn.Parameter(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)))
        optimizer = getattr(thalweg.optim, name)([p], lr=1e-3, state_dtype=held)
        before = p.detach().clone()
        for step in range(20):
            p.grad = torch.full_like(p, 1e-3 * (step == 0))
            optimizer.step()
        moved.append((p.detach() - before).abs().max().item())
    assert moved[1] <= 1.2 * moved[0] + 1e-6


def test_averages_to_evaluate_by_are_weights_in_8_bits_too():
    p = nn.Parameter(torch.rand(64, 64))
    optimizer = thalweg.optim.AdamWScheduleFree([p], state_dtype="8bit")
    for _ in range(5):
        p.grad = torch.randn(64, 64)
        optimizer.step()
    with optimizer.averaged_weights():
        assert -0.1 < p.min() < p.max() < 1.1


def test_a_group_on_tensors_beside_one_in_8_bits():
    p, q = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(64, 64))
    optimizer = thalweg.optim.Adam([{"params": [p], "capturable": True}, {"params": [q], "state_dtype": "8bit"}])
    for _ in range(3):
        p.grad, q.grad = torch.ones(4), torch.ones(64, 64)
        optimizer.step()
    assert optimizer.state[q]["exp_avg"].dtype == torch.uint8
    torch.testing.assert_close(q[0, :4].detach(), p.detach())


def test_a_later_group_in_8_bits_is_refused_before_any_step_where_autograd_follows():
    p, q = torch.ones(4, requires_grad=True).clone(), torch.ones(64, 64, requires_grad=True).clone()
    groups = [{"params": [p]}, {"params": [q], "state_dtype": "8bit", "differentiable": False}]
    optimizer = thalweg.optim.Adam(groups, differentiable=True)
    p.grad, q.grad = torch.ones(4), torch.ones(64, 64)
    with pytest.raises(InputError, match="holds no states in 8 bits"):
        optimizer.step()
    assert p.tolist() == [1.0] * 4


class Wrapped(torch.Tensor):
    """A tensor of another class."""


def test_tensors_of_other_classes_take_the_reference(monkeypatch):
    from thalweg.execution import compiled

    p = torch.ones(3).as_subclass(Wrapped).requires_grad_()
    p.grad = torch.ones(3).as_subclass(Wrapped)
    monkeypatch.setattr(compiled, "update", None)
    optimizer = thalweg.optim.SGD([p], lr=0.5)
    for _ in range(3):
        optimizer.step()
    assert p.tolist() == [-0.5] * 3


def test_8_bits_follow_a_change_of_layout():
    ends = []
    for switch in (False, True):
        torch.manual_seed(0)
        conv = nn.Conv2d(16, 32, 3)
        optimizer = thalweg.optim.Adam(conv.parameters(), state_dtype="8bit")
        for step in range(5):
            if switch and step == 3:
                conv.to(memory_format=torch.channels_last)
            generator = torch.Generator().manual_seed(step)
            sizes = 10.0 ** torch.linspace(-6, 0, conv.weight.numel()).view(conv.weight.shape)
            conv.weight.grad = torch.randn(conv.weight.shape, generator=generator) * sizes
            if switch and step >= 3:
                conv.weight.grad = conv.weight.grad.contiguous(memory_format=torch.channels_last)
            optimizer.step()
        ends.append(conv.weight.detach())
    assert (ends[0] - ends[1]).abs().max() < 5e-4  # blocks of other elements have other scales


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


@pytest.mark.parametrize(
    "options", [{}, {"clip_global_norm": 1.0}, {"centralize": True}, {"capturable": True}], ids=str
)
def test_small_gradients_survive_unscaling_in_float16(options):
    p = nn.Parameter(torch.zeros(2, 4, dtype=torch.float16))
    optimizer, scaler = thalweg.optim.Adam([p], lr=1e-2, eps=1e-12, fused=True, **options), torch.amp.GradScaler("cpu")
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale((p * torch.tensor([2e-8, -2e-8, 2e-8, -2e-8])).sum()).backward()
        scaler.step(optimizer)
        scaler.update(65536.0)
    assert p.abs().min() > 0.02


def test_a_checkpoint_of_torch_leaves_ones_own_options():
    p = nn.Parameter(torch.ones(3))
    theirs = torch.optim.Adam([p], lr=0.5).state_dict()
    optimizer = thalweg.optim.Adam([p], rounding="compensated", clip_global_norm=1.0, ema_decay=0.99, cautious=True)
    optimizer.load_state_dict(theirs)
    (group,) = optimizer.param_groups
    kept = {name: group[name] for name in ("lr", "rounding", "clip_global_norm", "ema_decay", "cautious")}
    assert kept == {"lr": 0.5, "rounding": "compensated", "clip_global_norm": 1.0, "ema_decay": 0.99, "cautious": True}


def test_by_chance_what_is_exact_stays():
    for dtype in (torch.float16, torch.bfloat16):
        p = (torch.rand(300_000, generator=torch.Generator().manual_seed(0)) + 1).to(dtype)
        assert all(torch.equal(stochastic(p.float(), dtype, key), p) for key in range(5))


def test_functional_takes_tensors_wherever_numbers_go():
    def path(**given):
        init, update = functional("adabound", gamma=0.1, **given)
        p, states = {"w": torch.zeros(2)}, init({"w": torch.zeros(2)})
        for _ in range(20):
            p, states = update({"w": torch.tensor([100.0, -200.0])}, states, p)
        return p["w"]

    torch.testing.assert_close(path(lr=torch.tensor(0.1)), path(lr=0.1))
    with pytest.raises(InputError, match="no hyperparameter 'lrr'"):
        functional("adam", lrr=torch.tensor(0.1))
    beta = torch.tensor(0.9, requires_grad=True)
    init, update = functional("adam", betas=(beta, 0.999))
    p = {"w": torch.ones(2)}
    moved, _ = update({"w": torch.tensor([1.0, 2.0])}, update({"w": torch.ones(2)}, init(p), p)[1], p)
    moved["w"].sum().backward()
    assert beta.grad is not None


@pytest.mark.parametrize(
    ("name", "options", "gradients"),
    [
        ("SGD", {"masked": True}, (1.0, 1.0, 1.0)),
        ("Ftrl", {"l1": 10.0}, (1.0, 1.0, 1.0)),
        ("Rprop", {}, (1.0, -1.0, 1.0)),
        ("SGD", {"momentum": 0.9, "cautious": True}, (1.0, -0.5, 1.0)),
    ],
)
def test_what_is_meant_to_rest_is_not_lost(name, options, gradients, monkeypatch):
    monkeypatch.setattr(diagnostics, "_told", set())
    p = nn.Parameter(torch.ones(100))
    optimizer = getattr(thalweg.optim, name)([p], lr=0.01, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LostUpdates)
        for gradient in gradients:
            p.grad = torch.full_like(p, gradient)
            optimizer.step()
            if "mask" in optimizer.state[p]:
                optimizer.state[p]["mask"][:90] = 0.0


def test_warnings_of_frozen_groups_and_scaled_gradients(monkeypatch):
    monkeypatch.setattr(diagnostics, "_told", set())
    p, q = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error", OptimizerWarning)
        optimizer = thalweg.optim.SGD([{"params": [p], "lr": 0.0}, {"params": [q], "lr": 0.1}])
        p.grad = q.grad = torch.ones(5)
        optimizer.step()
    optimizer, scaler = thalweg.optim.Adam([p], eps=1e-2), torch.amp.GradScaler("cpu")

    def train():
        for _ in range(2):
            optimizer.zero_grad()
            scaler.scale(1e-4 * p.sum()).backward()
            scaler.step(optimizer)
            scaler.update()

    with pytest.warns(thalweg.optim.EpsilonDominates):
        train()


def test_gradients_that_are_views_with_a_sign():
    p = nn.Parameter(torch.ones(1))
    z = torch.complex(torch.zeros(1), p)
    (z.conj() * torch.complex(torch.ones(1), torch.full((1,), 2.0))).real.sum().backward()
    assert p.grad.is_neg()
    optimizer = thalweg.optim.SGD([p], lr=1.0)
    optimizer.step()
    assert p.item() == -1.0
    optimizer.step()
    assert p.item() == -3.0
    c = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    c.conj().abs().sum().backward()
    thalweg.optim.SGD([c], lr=1.0).step()
    assert torch.equal(c.detach(), torch.zeros(3, dtype=torch.complex64))


def test_layers_by_whatever_name():
    named = nn.Sequential(OrderedDict(fc1=nn.Linear(2, 2), act=nn.ReLU(), fc2=nn.Linear(2, 2), head=nn.Linear(2, 2)))
    rates = {name: rule["lr"] for name, rule in layerwise(named, 1.0, decay=0.5).items()}
    assert [rates[f"{name}.weight"] for name in ("fc1", "fc2", "head")] == [0.125, 0.25, 0.5]

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(3, 4)
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
            self.head = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Dropout(), nn.Linear(4, 2))

    rates = {name: rule["lr"] for name, rule in layerwise(Model(), 1.0, decay=0.5).items()}
    assert [rates[f"layers.{i}.weight"] for i in range(3)] == [0.125, 0.25, 0.5]
    assert (rates["embed.weight"], rates["head.0.weight"], rates["head.3.weight"]) == (0.0625, 1.0, 1.0)


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


def test_a_tensor_within_a_tuple_may_change():
    beta, p = torch.tensor(0.9), nn.Parameter(torch.zeros(1))
    optimizer = thalweg.optim.Adam([p], betas=(beta, torch.tensor(0.999)))
    for step, gradient in enumerate((1.0, 2.0, 3.0)):
        if step == 2:
            beta.fill_(0.0)
        p.grad = torch.full((1,), gradient)
        optimizer.step()
    assert optimizer.state[p]["exp_avg"].item() == 3.0


@pytest.mark.parametrize("hint", ["capturable", "differentiable"])
def test_sparse_gradients_on_tensors_are_refused(hint):
    p = torch.ones(3, 2) if hint == "differentiable" else nn.Parameter(torch.ones(3, 2))
    p.grad = torch.ones(3, 2).to_sparse()
    with pytest.raises(InputError, match="sparse gradients without capturable and differentiable"):
        thalweg.optim.Adam([p], **{hint: True}).step()


def test_states_in_few_bits_are_rounded_by_chance_at_every_step():
    """Also where the parameter is compensated, and once it is made ready to be stepped again."""
    p = nn.Parameter(torch.zeros(500, dtype=torch.bfloat16))
    optimizer = thalweg.optim.Adam([p], rounding="compensated", state_dtype="parameter")
    for _ in range(400):
        p.grad = torch.ones_like(p)
        optimizer.step()
    second = optimizer.state[p]["exp_avg_sq"]
    assert second.dtype == torch.bfloat16
    assert second.float().mean().item() == pytest.approx(1 - 0.999**400, rel=0.05)


def test_a_checkpoint_from_before_there_was_precision_loads():
    def saved(**options):
        p = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
        optimizer = thalweg.optim.Adam([p], **options)
        p.grad = torch.ones_like(p)
        optimizer.step()
        return p, optimizer

    p, old = saved(rounding="nearest", state_dtype="parameter")
    checkpoint = old.state_dict()
    for name in ("rounding", "rounding_seed", "state_dtype", "cautious", "convention"):
        del checkpoint["param_groups"][0][name]
    optimizer = thalweg.optim.Adam([p])
    optimizer.load_state_dict(checkpoint)
    optimizer.step()
    assert optimizer.state[p]["exp_avg"].dtype == torch.float32  # as this optimizer would have made it
    assert optimizer.param_groups[0]["rounding"] == "stochastic"


def test_a_large_model_is_looked_at_in_part(monkeypatch):
    """The second step of a thousand tensors may not take seconds."""
    looked = []
    update = diagnostics.SilentFailures._update
    monkeypatch.setattr(diagnostics.SilentFailures, "_update", lambda *a: looked.append(1) or update(*a))
    params = [nn.Parameter(torch.ones(3)) for _ in range(1000)]
    optimizer = thalweg.optim.Adam(params)
    for _ in range(3):
        for p in params:
            p.grad = torch.ones(3)
        optimizer.step()
    assert 0 < len(looked) <= 6 * diagnostics.PARAMETERS


def test_a_refusal_in_a_later_group_comes_before_any_step():
    p, q = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(3, 2))
    optimizer = thalweg.optim.ASGD([{"params": [p]}, {"params": [q]}])
    p.grad, q.grad = torch.ones(4), torch.ones(3, 2).to_sparse()
    with pytest.raises(InputError, match="takes dense gradients only"):
        optimizer.step()
    assert p.tolist() == [1.0] * 4
