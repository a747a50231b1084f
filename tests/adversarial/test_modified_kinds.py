"""Complex, sparse and masked parameters under modifiers, and functions in the place of an optimizer."""

import math

import pytest
import torch
from torch import nn

import thalweg.optim
from adversarial.adversary import THEIRS, Run, gradient, parameters
from thalweg.errors import InputError

MODIFIERS = [
    {"clip_value": 0.3}, {"clip_tensor_norm": 0.3}, {"clip_global_norm": 0.3}, {"clip_adaptive": 0.1},
    {"centralize": True}, {"lookahead_steps": 2}, {"ema_decay": 0.9}, {"cautious": True}, {"masked": True},
    {"maximize": True}, {"weight_decay": 0.1, "independent_weight_decay": True}, {"state_dtype": "8bit"},
    {"state_dtype": "bfloat16"}, {"rounding": "compensated"},
]  # fmt: skip


@pytest.mark.parametrize("name", ["SGD", "NAdam"])
@pytest.mark.parametrize("options", MODIFIERS, ids=lambda options: next(iter(options)))
@pytest.mark.parametrize("capturable", [False, True])
def test_complex_parameters_under_every_modifier_are_pairs_of_real_ones(name, options, capturable):
    """Elementwise modifiers and norms see pairs; those of units and parts say what they take, or see the same."""

    def make(pairs):
        params = [torch.view_as_complex(p.detach().clone()) for p in parameters(shapes=[(3, 2), (4, 3, 2)])]
        params = [torch.view_as_real(p) if pairs else p for p in params]
        run = Run(
            getattr(thalweg.optim, name),
            [p.requires_grad_() for p in params],
            **THEIRS[name] | options,
            capturable=capturable,
        )
        for step in range(5):
            for p, like in zip(run.params, parameters(shapes=[(3, 2), (4, 3, 2)]), strict=True):
                p.grad = gradient(like, step) if pairs else torch.view_as_complex(gradient(like, step))
            run.optimizer.step()
        return [torch.view_as_real(p) if p.is_complex() else p for p in run.values()]

    if set(options) & {"centralize", "clip_adaptive", "state_dtype"}:  # of units, or of parts, which pairs are not
        assert all(bool(torch.isfinite(p).all()) for p in make(False))
    else:
        torch.testing.assert_close(make(False), make(True), rtol=1e-12, atol=1e-13)


def test_clipping_complex_gradients_is_torchs():
    def make(module, **options):
        params = [torch.linspace(-1, 1, 4).to(torch.complex128).mul(1 + 2j).requires_grad_()]
        run = Run(module.SGD, params, lr=0.1, **options)
        for step in range(3):
            run.params[0].grad = torch.exp(1j * torch.arange(4.0).double() * (step + 1))
            if not options:
                nn.utils.clip_grad_norm_(run.params, 0.5)
            run.optimizer.step()
        return run.values()

    torch.testing.assert_close(make(thalweg.optim, clip_global_norm=0.5), make(torch.optim), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "Adam"])
@pytest.mark.parametrize(
    "options",
    [{}, {"clip_value": 0.3}, {"clip_tensor_norm": 0.3}, {"clip_global_norm": 0.3}, {"maximize": True}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["repeated", "none", "all", "sorted"])
def test_sparse_gradients_are_dense_ones_where_every_row_is_touched_or_rests(name, options, kind):
    """With repeated rows, no rows at all, and every row; without momentum rows that rest are left alone."""
    where = {"repeated": [1, 3, 1, 0, 2], "none": [], "all": [0, 1, 2, 3], "sorted": [0, 2]}[kind]
    if name == "Adam" and kind in ("none", "sorted"):
        pytest.skip("moments of resting rows differ, as in torch's SparseAdam")

    def act(sparse):
        run = Run(getattr(thalweg.optim, name), parameters(shapes=[(4, 3)]), lr=0.1, **options)
        for step in range(4):
            values = gradient(torch.zeros(len(where), 3, dtype=torch.float64), step)
            g = torch.sparse_coo_tensor([where], values, (4, 3), dtype=torch.float64, check_invariants=True)
            run.params[0].grad = g if sparse else g.to_dense()
            run.optimizer.step()
        return run.values()

    torch.testing.assert_close(act(True), act(False), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "options", [{"clip_global_norm": 1.0}, {"clip_value": 1.0}, {"clip_tensor_norm": 1.0}], ids=str
)
def test_clipping_what_is_no_number_is_torchs(bad, options):
    def act(module):
        run = Run(module.SGD, lr=0.1, **(options if module is thalweg.optim else {}))
        run.fill()
        run.params[0].grad[0, 0] = bad
        if module is torch.optim:
            for of in [run.params] if "clip_global_norm" in options else [[p] for p in run.params]:
                if "clip_value" in options:
                    nn.utils.clip_grad_value_(of, 1.0)
                else:
                    nn.utils.clip_grad_norm_(of, 1.0)
        run.optimizer.step()
        return run.values()

    torch.testing.assert_close(act(thalweg.optim), act(torch.optim), rtol=1e-5, atol=1e-6, equal_nan=True)


def test_masks_of_other_kinds():
    """A mask is a state: of truths or whole numbers it is refused, of zeros and ones it holds."""
    run = Run(thalweg.optim.Adam, lr=0.1, masked=True)
    run.step()
    for p in run.params:
        run.optimizer.state[p]["mask"] = torch.zeros_like(p)
    run.step()
    assert not any(bool(p.any()) for p in run.params)
    run.optimizer.state[run.params[0]]["mask"] = torch.ones(3, 5, dtype=torch.bool)
    with pytest.raises(InputError, match="'mask'"):
        run.step()


@pytest.mark.parametrize("transform", ["vmap", "grad", "jvp", "compile"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Dynamo detected")
def test_functional_under_transforms(transform):
    init, update = thalweg.optim.functional("adamw", lr=0.1, clip_global_norm=0.5)

    def after(x):
        params = {"w": x}
        states = init(params)
        for step in range(3):
            params, states = update({"w": torch.sin(params["w"] + step)}, states, params)
        return params["w"].sum()

    x = torch.linspace(-1, 1, 6, dtype=torch.float64)
    if transform == "vmap":
        rows = torch.stack([x, x * 2])
        torch.testing.assert_close(torch.func.vmap(after)(rows), torch.stack([after(r) for r in rows]))
    elif transform == "compile":
        torch.testing.assert_close(torch.compile(after, backend="eager")(x), after(x))
    else:
        ahead = torch.zeros_like(x).index_fill_(0, torch.tensor([2]), 1e-6)
        numeric = (after(x + ahead) - after(x - ahead)) / 2e-6
        if transform == "grad":
            found = torch.func.grad(after)(x)[2]
        else:
            found = torch.func.jvp(after, (x,), (ahead / 1e-6,))[1]
        torch.testing.assert_close(found, numeric, rtol=1e-5, atol=1e-8)
