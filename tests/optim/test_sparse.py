"""Sparse gradients: the touched rows take the step, exactly where the rule's maths is that, and no others move."""

import pytest
import torch
from torch import nn

import thalweg.optim
from thalweg.errors import InputError
from thalweg.optim.classes import drop_ins
from thalweg.optim.interop.sparse import begins
from thalweg.optim.stepping import general_path
from thalweg.recipes.trace import trace

WHOLE = {name for name, cls in drop_ins().items() if trace(cls.recipe.structure(cls.recipe.resolve({}))).before}
"""Those that measure whole tensors move every row: see test_whole_tensors.py."""
LAZY = {name: cls for name, cls in drop_ins().items() if not cls.recipe.rule.sparse_unsupported and name not in WHOLE}
DENSE = {name: cls for name, cls in drop_ins().items() if cls.recipe.rule.sparse_unsupported}
PLAIN = {"weight_decay": 0.0}
SHAPE = (30, 4)
STEPS = 8


def start(dtype=torch.float64):
    return torch.linspace(-1, 1, 120, dtype=dtype).view(SHAPE)


def gradients(dtype=torch.float64, steps=STEPS):
    """Rows come more than once in one gradient, and few in each."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        rows = torch.randint(0, 30, (1, 6), generator=generator)
        values = torch.randn(6, 4, generator=generator, dtype=dtype)
        yield torch.sparse_coo_tensor(rows, values, SHAPE, check_invariants=True)


def rows_of(gradient):
    return gradient.coalesce().indices()[0]


def trained(cls, *, dense=False, dtype=torch.float64, **options):
    p = nn.Parameter(start(dtype))
    optimizer = cls([p], **options)
    for gradient in gradients(dtype):
        p.grad = gradient.to_dense() if dense else gradient
        optimizer.step()
    return p.detach(), optimizer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (thalweg.optim.SGD, {}),
        (thalweg.optim.Adagrad, {}),
        (thalweg.optim.Adagrad, {"initial_accumulator_value": 0.1, "lr_decay": 0.01}),
        (thalweg.optim.Adagrad, {"clip_global_norm": 0.5, "maximize": True}),
        (thalweg.optim.SignSGD, {"clip_value": 0.1}),
    ],
)
def test_exact_where_rows_without_gradient_rest(cls, options, dtype):
    lazy, dense = (trained(cls, dense=dense, dtype=dtype, lr=0.1, **options)[0] for dense in (False, True))
    torch.testing.assert_close(lazy, dense, rtol=4 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps)


def test_adam_is_torchs_sparse_adam():
    """Which adds ε before the bias correction, unlike torch's Adam: that is Keras's formula."""
    ours, _ = trained(thalweg.optim.Adam, lr=0.1, convention="keras", eps=1e-8)
    theirs, _ = trained(torch.optim.SparseAdam, lr=0.1)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LAZY)
def test_touched_rows_take_the_dense_step_and_the_others_none(name):
    """After each dense step, all that has no gradient is put back: that is what lazy means."""
    cls = LAZY[name]
    lazy, dense = (nn.Parameter(start()) for _ in range(2))
    ours, plain = cls([lazy], **PLAIN), cls([dense], **PLAIN)
    everywhere = begins(trace(cls.recipe.structure(cls.recipe.resolve(PLAIN))))  # what the first step is to do
    for number, gradient in enumerate(gradients()):
        lazy.grad, dense.grad = gradient, gradient.to_dense()
        others = torch.ones(30, dtype=torch.bool).index_fill(0, rows_of(gradient), False)
        before = dense.detach().clone(), {name: t.clone() for name, t in plain.state[dense].items()}
        ours.step()
        plain.step()
        if number or not everywhere:
            with torch.no_grad():
                dense[others] = before[0][others]
                for name, t in plain.state[dense].items():
                    if t.shape == SHAPE:  # what began at this step began as it did in ours
                        t[others] = before[1].get(name, ours.state[lazy][name])[others]
        torch.testing.assert_close(lazy, dense, rtol=1e-10, atol=1e-10)  # AdaBelief subtracts what is nearly equal


def test_only_touched_rows_are_worked_on(monkeypatch):
    sizes = []
    build = general_path.GeneralStep
    monkeypatch.setattr(
        general_path,
        "GeneralStep",
        lambda needs, rows, *rest: sizes.extend(r.elements.p.shape for r in rows) or build(needs, rows, *rest),
    )
    embedding = torch.nn.EmbeddingBag(100_000, 3, sparse=True, mode="sum")
    optimizer = thalweg.optim.Adam(embedding.parameters())
    before = embedding.weight.detach().clone()
    embedding(torch.tensor([[5, 5, 7], [99_999, 0, 5]])).sum().backward()
    optimizer.step()
    assert sizes == [(4, 3)]
    moved = (embedding.weight != before).any(1).nonzero().flatten().tolist()
    assert moved == [0, 5, 7, 99_999]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex128], ids=str)
@pytest.mark.parametrize("rounding", ["stochastic", "compensated"])
def test_other_dtypes(dtype, rounding):
    lazy, _ = trained(thalweg.optim.Adagrad, dtype=dtype, lr=0.1, rounding=rounding)
    dense, _ = trained(thalweg.optim.Adagrad, dense=True, dtype=dtype, lr=0.1, rounding=rounding)
    off = 0.02 if dtype != torch.complex128 else 1e-12
    torch.testing.assert_close(lazy, dense, rtol=off, atol=off)


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_units_of_gradients_with_several_sparse_dimensions(shape, dtype):
    """A unit is a row of the first dimension, of which such a gradient stores single elements or vectors."""
    sparse, dense = (nn.Parameter(torch.full(shape, 3.0, dtype=dtype)) for _ in range(2))
    options = {"lr": 0.1, "max_norm": 1.0, "rounding": "nearest"}
    ours, plain = thalweg.optim.SGD([sparse], **options), thalweg.optim.SGD([dense], **options)
    for place in ([[0, 0, 3], [1, 2, 0]], [[3, 1], [0, 1]]):
        values = torch.ones(len(place[0]), *shape[2:], dtype=dtype)
        sparse.grad = torch.sparse_coo_tensor(place, values, shape, check_invariants=True)
        dense.data = sparse.detach().clone()  # a dense step limits the other rows, too
        before, dense.grad = sparse.detach().clone(), sparse.grad.to_dense()
        ours.step()
        plain.step()
        touched = torch.zeros(4, dtype=torch.bool).index_fill(0, torch.tensor(place[0]), True)
        torch.testing.assert_close(sparse[touched], dense[touched], rtol=torch.finfo(dtype).eps, atol=0)
        assert torch.equal(sparse[~touched], before[~touched])


def test_max_norm_of_what_is_gathered():
    """`torch.gather` gives a gradient that is sparse in all dimensions."""
    ends = []
    for sparse_grad in (False, True):
        p = nn.Parameter(torch.full((4, 5), 3.0))
        p.gather(1, torch.tensor([[0, 1], [2, 3], [0, 0], [4, 4]]), sparse_grad=sparse_grad).sum().backward()
        thalweg.optim.SGD([p], lr=0.1, max_norm=1.0).step()
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", DENSE)
def test_rules_that_need_every_row_say_why(name):
    p = nn.Parameter(start())
    p.grad = next(gradients())
    with pytest.raises(InputError, match=rf"{name} takes dense gradients only, as it.*; create the .* sparse=False"):
        DENSE[name]([p]).step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_decay": 0.1}, "without weight_decay only, which acts on rows that have no gradient"),
        ({"ema_decay": 0.9}, "without ema_decay only"),
        ({"masked": True}, "without masked only, which acts on rows that have no gradient"),
        ({"lookahead_steps": 2}, "without lookahead_steps only"),
        ({"centralize": True}, "without centralize only, which needs whole gradients"),
        ({"clip_adaptive": 0.1}, "without clip_adaptive only"),
        ({"cautious": True}, "without cautious only"),
        ({"state_dtype": "8bit"}, "without state_dtype='8bit' only"),
    ],
    ids=str,
)
def test_options_that_need_every_row_say_so(options, message):
    p = nn.Parameter(start())
    before = p.detach().clone()
    p.grad = next(gradients())
    with pytest.raises(InputError, match=message):
        thalweg.optim.Adam([p], **options).step()
    assert torch.equal(p, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"nesterov": True}, {"dampening": 0.5}, {"maximize": True}, {"clip_global_norm": 0.5}], ids=str
)
def test_momentum_moves_rows_after_their_gradient(options, dtype):
    """As in torch, where a buffer is dense in all but its layout."""
    sparse, dense = (
        trained(thalweg.optim.SGD, dense=dense, dtype=dtype, lr=0.1, momentum=0.9, **options)[0]
        for dense in (False, True)
    )
    torch.testing.assert_close(sparse, dense, rtol=4 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps)
    if "clip_global_norm" not in options:
        theirs, _ = trained(torch.optim.SGD, dtype=dtype, lr=0.1, momentum=0.9, **options)
        off = 16 * torch.finfo(dtype).eps
        torch.testing.assert_close(sparse, theirs, rtol=off, atol=off)


def test_momentum_goes_on_from_a_checkpoint():
    """A buffer of dense gradients, and sparse ones afterwards."""
    ends = []
    for dense in (False, True):
        p = nn.Parameter(start())
        optimizer = thalweg.optim.SGD([p], lr=0.1, momentum=0.9)
        for number, gradient in enumerate(gradients()):
            p.grad = gradient.to_dense() if dense or number < 3 else gradient
            if number == 3:
                saved = optimizer.state_dict()
                optimizer = thalweg.optim.SGD([p], lr=0.1, momentum=0.9)
                optimizer.load_state_dict(saved)
            optimizer.step()
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("cls", drop_ins().values(), ids=drop_ins())
def test_sparse_parameters_are_refused(cls):
    dense = nn.Parameter(torch.ones(2))
    sparse = nn.Parameter(torch.eye(3).to_sparse())
    with pytest.raises(
        InputError, match=rf"{cls.__name__} steps dense parameters, got one with layout torch.sparse_coo"
    ):
        cls([sparse])
    optimizer = cls([dense])
    with pytest.raises(InputError, match="steps dense parameters"):
        optimizer.add_param_group({"params": [sparse]})
    assert [group["params"] for group in optimizer.param_groups] == [[dense]]


@pytest.mark.parametrize("hint", ["capturable", "differentiable"])
def test_sparse_gradients_on_tensors_are_refused(hint):
    p = torch.ones(3, 2) if hint == "differentiable" else nn.Parameter(torch.ones(3, 2))
    p.grad = torch.ones(3, 2).to_sparse()
    with pytest.raises(InputError, match="sparse gradients without capturable and differentiable"):
        thalweg.optim.Adam([p], **{hint: True}).step()
