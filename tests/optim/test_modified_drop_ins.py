"""Modifiers of the drop-ins: as torch's own idioms around torch's optimizers, whatever way a step is taken."""

import copy

import pytest
import torch
from torch.nn.utils import clip_grad_norm_

import thalweg.optim
from optim.trained import fitted
from scope import THOROUGH
from thalweg.errors import InputError
from thalweg.optim.classes import drop_ins
from thalweg.recipes.catalogue import recipe, recipes

SHAPES = ((3, 4), (6,), (), (2, 3, 2))
EVERYTHING = {
    "centralize": True, "clip_adaptive": 0.2, "clip_global_norm": 3.0, "clip_tensor_norm": 2.0, "clip_value": 1.0,
    "weight_decay": 0.1, "cautious": True, "max_norm": 1.2, "lookahead_steps": 3, "ema_decay": 0.5,
}  # fmt: skip
SINGLE = [{name: value} for name, value in EVERYTHING.items()]


def made(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for s in SHAPES]


def give_gradients(params, step):
    generator = torch.Generator().manual_seed(step + 1)
    for p in params:
        p.grad = 2 * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)


def trained(cls, steps=8, params=None, start=0, **options):
    params = made() if params is None else params
    optimizer = cls(fitted(cls, params), lr=0.1, **options)
    go_on(optimizer, params, steps, start)
    return params, optimizer


def go_on(optimizer, params, steps, start=0, general=False):
    for i in range(start, start + steps):
        if general:  # every step as if it was the first
            optimizer.__dict__.pop("_updates", None)
        give_gradients(params, i)
        optimizer.step()


def assert_close(ours, theirs):
    torch.testing.assert_close([p.detach() for p in ours], [p.detach() for p in theirs], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam"])
@pytest.mark.parametrize("each", [True, False], ids=["clip_tensor_norm", "clip_global_norm"])
def test_clipping_is_torchs(name, each):
    ours, _ = trained(getattr(thalweg.optim, name), **{"clip_tensor_norm" if each else "clip_global_norm": 1.5})
    theirs = made()
    optimizer = getattr(torch.optim, name)(theirs, lr=0.1)
    for i in range(8):
        give_gradients(theirs, i)
        for group in [[p] for p in theirs] if each else [theirs]:
            clip_grad_norm_(group, 1.5)
        optimizer.step()
    assert_close(ours, theirs)


def test_the_global_norm_is_that_of_all_groups():
    """Though each group has a limit of its own, or none."""
    ours, theirs = made(), made()
    groups = [{"params": ours[:1], "clip_global_norm": 1.0}, {"params": ours[1:2], "clip_global_norm": 2.0},
              {"params": ours[2:]}]  # fmt: skip
    optimizer, plain = thalweg.optim.Adam(groups, lr=0.1), torch.optim.Adam(theirs, lr=0.1)
    for i in range(4):
        give_gradients(ours, i)
        optimizer.step()
        give_gradients(theirs, i)
        norm = torch.stack([p.grad.norm() for p in theirs]).norm()
        for p, limit in zip(theirs, (1.0, 2.0), strict=False):
            p.grad *= min(1.0, limit / (norm.item() + 1e-6))
        plain.step()
    assert_close(ours, theirs)


@pytest.mark.parametrize("options", [*SINGLE, EVERYTHING], ids=str)
@pytest.mark.parametrize("name", ["SGD", "NAdam"])
def test_the_gradient_stays_what_it_was(name, options):
    params, optimizer = trained(getattr(thalweg.optim, name), **options)
    give_gradients(params, 9)
    gradients = [p.grad for p in params]
    before = [g.clone() for g in gradients]
    optimizer.step()
    for p, g, b in zip(params, gradients, before, strict=True):
        assert p.grad is g
        assert torch.equal(g, b)


@pytest.mark.parametrize("options", [*SINGLE, EVERYTHING], ids=str)
@pytest.mark.parametrize("name", ["SGD", "NAdam"])
def test_the_quick_way_is_the_general_way(name, options):
    cls = getattr(thalweg.optim, name)
    quick, slow = made(), made()
    for params, general in ((quick, False), (slow, True)):
        go_on(cls(params, lr=0.1, **options), params, 8, general=general)
    torch.testing.assert_close(quick, slow, rtol=0, atol=0)


@pytest.mark.parametrize("name", recipes() if THOROUGH else ["sgd", "nadam", "schedule_free_adamw"])
def test_saved_and_loaded_it_goes_on_bitwise(name, tmp_path):
    cls = drop_ins()[recipe(recipe(name).rule.name).drop_in.name]
    whole, optimizer = trained(cls, 10, **EVERYTHING)
    half, first = trained(cls, 4, **EVERYTHING)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    loaded = cls(fitted(cls, half), lr=0.1)
    loaded.load_state_dict(torch.load(tmp_path / "state.pt"))
    go_on(loaded, half, 6, start=4)
    torch.testing.assert_close(half, whole, rtol=0, atol=0)
    for p, q in zip(half, whole, strict=True):
        assert torch.equal(loaded.state[p]["ema_weights"], optimizer.state[q]["ema_weights"])


def test_off_there_is_no_state():
    params, optimizer = trained(thalweg.optim.Adam)
    assert set(optimizer.state[params[0]]) == {"step", "exp_avg", "exp_avg_sq"}
    params, optimizer = trained(thalweg.optim.SGD)
    assert not optimizer.state


def test_lookahead_counts_for_a_rule_that_does_not():
    fast, slow = made(), made()
    optimizer, plain = (
        thalweg.optim.SGD(fast, lr=0.1, momentum=0.9, lookahead_steps=3),
        torch.optim.SGD(slow, lr=0.1, momentum=0.9),
    )
    kept = [p.detach().clone() for p in slow]
    for i in range(7):
        go_on(optimizer, fast, 1, start=i)
        give_gradients(slow, i)
        plain.step()
        if i % 3 == 2:
            with torch.no_grad():
                for p, k in zip(slow, kept, strict=True):
                    k += 0.5 * (p - k)
                    p.copy_(k)
    assert_close(fast, slow)


def test_lookahead_after_steps_without():
    """A momentum that is there is not begun again."""
    ours, optimizer = trained(thalweg.optim.SGD, 3, momentum=0.9, dampening=0.5)
    theirs, plain = trained(torch.optim.SGD, 3, momentum=0.9, dampening=0.5)
    optimizer.param_groups[0].update(lookahead_steps=100)
    for o, params in ((optimizer, ours), (plain, theirs)):
        go_on(o, params, 3, start=3)
    assert_close(ours, theirs)


def test_slow_weights_begin_where_the_first_step_does():
    """Not where the optimizer was made, even of a rule whose state is: a checkpoint may have come in between."""
    params = made()
    optimizer = thalweg.optim.Adagrad(params, lr=0.1, lookahead_steps=100, ema_decay=0.5)
    with torch.no_grad():
        for p in params:
            p.fill_(7.0)
    go_on(optimizer, params, 1)
    assert all((optimizer.state[p]["slow_weights"] == 7.0).all() for p in params)


def test_averages_take_the_parameters_place_and_give_it_back():
    params, optimizer = trained(thalweg.optim.Adam, ema_decay=0.9)
    before = [p.detach().clone() for p in params]
    places = [p.data_ptr() for p in params]
    with optimizer.averaged_weights():
        for p in params:
            assert torch.equal(p, optimizer.state[p]["ema_weights"])
            assert p.requires_grad
        assert [p.data_ptr() for p in params] == places
        with pytest.raises(InputError, match=r"Adam cannot step within averaged_weights\(\)"):
            optimizer.step()
    torch.testing.assert_close([p.detach() for p in params], before, rtol=0, atol=0)
    go_on(optimizer, params, 1, start=8)
    torch.testing.assert_close(params, trained(thalweg.optim.Adam, 9, ema_decay=0.9)[0], rtol=0, atol=0)


def test_averages_are_given_back_after_an_error():
    params, optimizer = trained(thalweg.optim.SGD, ema_decay=0.9)
    before = [p.detach().clone() for p in params]
    with pytest.raises(KeyError), optimizer.averaged_weights():
        raise KeyError
    torch.testing.assert_close([p.detach() for p in params], before, rtol=0, atol=0)


def test_no_averages():
    _, optimizer = trained(thalweg.optim.SGD)
    with pytest.raises(InputError, match="SGD keeps no average yet; give ema_decay"), optimizer.averaged_weights():
        pass


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.complex64])
def test_other_dtypes(dtype):
    """Four steps of about 0.1 end where those in float64 do: each rounds a number of about 1."""
    params = made(dtype)
    exact = [p.detach().to(torch.complex128 if dtype.is_complex else torch.float64).requires_grad_() for p in params]
    for of in (params, exact):
        go_on(thalweg.optim.SGD(of, lr=1.0, **EVERYTHING), of, 4)
    off = 4 * torch.finfo(dtype).eps
    for p, q in zip(params, exact, strict=True):
        torch.testing.assert_close(p.detach().to(q.dtype), q.detach(), rtol=off, atol=off)


def test_parameters_in_another_layout():
    plain, turned = made(), made()
    turned[0].data = turned[0].data.t().contiguous().t()
    for params in (plain, turned):
        go_on(thalweg.optim.Adam(params, lr=0.1, **EVERYTHING), params, 5)
    assert_close(plain, turned)


def test_not_a_number_is_not_hidden():
    p = torch.ones(4, requires_grad=True)
    optimizer = thalweg.optim.SGD([p], cautious=True)
    p.grad = torch.tensor([1.0, float("nan"), 1.0, 1.0])
    optimizer.step()
    assert p.isnan().tolist() == [False, True, False, False]


def test_half_a_step_is_refused():
    with pytest.raises(
        InputError, match=r"The 'lookahead_steps' of Adam must be a whole number in \[0, inf\), got 2.5"
    ):
        thalweg.optim.Adam(made(), lookahead_steps=2.5)


def test_a_copy_goes_on_alike():
    params, optimizer = trained(thalweg.optim.Adam, 4, **EVERYTHING)
    twin = copy.deepcopy(optimizer)
    others = [p for group in twin.param_groups for p in group["params"]]
    for o, of in ((optimizer, params), (twin, others)):
        go_on(o, of, 4, start=4)
    torch.testing.assert_close(params, others, rtol=0, atol=0)
