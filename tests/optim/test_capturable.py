"""Steps as tensor operations alone: the same as the compiled ones, never waiting for a number, and differentiable."""

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.utils._python_dispatch import TorchDispatchMode

import thalweg.optim
from optim.trained import MODIFIED, fitted
from scope import crossed, in_turns, sample, typical
from thalweg.errors import InputError
from thalweg.optim import functional
from thalweg.optim.classes import drop_in, drop_ins
from thalweg.recipes.catalogue import recipe, recipes
from thalweg.rules.contract import rule
from thalweg.rules.hyperparameters import Rate
from thalweg.rules.states import Zeros

every_class = pytest.mark.parametrize("cls", typical(drop_ins()).values(), ids=list(typical(drop_ins())))
SHAPES = ((5, 7), (3,), ())


def path(cls, dtype=torch.float64, steps=6, **options):
    generator = torch.Generator().manual_seed(1)
    params = [torch.nn.Parameter(torch.randn(s, generator=generator, dtype=dtype)) for s in SHAPES]
    optimizer = cls(fitted(cls, params), **options)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator, dtype=dtype)
        optimizer.step()
    return [p.detach() for p in params], optimizer


@pytest.mark.parametrize(("cls", "options"), crossed(drop_ins(), MODIFIED), ids=str)
def test_capturable_takes_the_same_steps(cls, options):
    (plain, first), (captured, second) = path(cls, **options), path(cls, capturable=True, **options)
    torch.testing.assert_close(captured, plain, rtol=1e-12, atol=1e-12)
    for p, q in zip(*([p for of in o.param_groups for p in of["params"]] for o in (first, second)), strict=True):
        assert set(first.state[p]) | {"step"} == set(second.state[q])
        for name, value in first.state[p].items():
            torch.testing.assert_close(second.state[q][name], value, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.complex128], ids=str)
@pytest.mark.parametrize("cls", [thalweg.optim.AdamW, thalweg.optim.NAdam, thalweg.optim.SGD], ids=lambda c: c.__name__)
@pytest.mark.parametrize("rounding", ["stochastic", "compensated", "nearest"])
def test_capturable_in_other_dtypes(cls, dtype, rounding):
    options = {"lr": 0.1, "rounding": rounding, "clip_adaptive": 0.3, "weight_decay": 0.1}
    (plain, _), (captured, _) = (path(cls, dtype, capturable=capturable, **options) for capturable in (False, True))
    off = {torch.complex128: 1e-12, torch.float32: 1e-6}.get(dtype, torch.finfo(dtype).eps)
    torch.testing.assert_close(captured, plain, rtol=off, atol=off)


class Waiting(TorchDispatchMode):
    """Raises where a tensor's number is asked for."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert "local_scalar" not in str(function), "a device would be waited for"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["AdamW", "NAdam", "ASGD", "SGD", "Rprop", "Adan", "AdEMAMix", "AdaBound"])
def test_capturable_waits_for_nothing(name):
    """As a CUDA graph needs it."""
    p = torch.nn.Parameter(torch.ones(4, 3))
    options = {"clip_global_norm": 1.0, "cautious": True, "lookahead_steps": 3, "ema_decay": 0.9}
    optimizer = getattr(thalweg.optim, name)([p], lr=torch.tensor(0.1), capturable=True, **options)
    p.grad = torch.ones_like(p)
    optimizer.step()
    before = p.detach().clone()
    with Waiting():
        optimizer.step()
    assert not torch.equal(p.detach(), before)


@pytest.mark.parametrize("name", ["AdamW", "NAdam", "SGD", "Adan", "AdEMAMix"])
def test_a_rate_in_a_tensor_changes_where_it_is(name):
    rate, p = torch.tensor(0.1), torch.nn.Parameter(torch.ones(4, 3))
    optimizer = getattr(thalweg.optim, name)([p], lr=rate, capturable=True)
    p.grad = torch.ones_like(p)
    optimizer.step()
    rate.fill_(0.0)
    before = p.detach().clone()
    optimizer.step()
    assert torch.equal(p.detach(), before)


def test_a_checkpoint_of_either_is_the_others():
    plain, _ = path(thalweg.optim.Adam)
    for begins, ends in ((False, True), (True, False)):
        half, optimizer = path(thalweg.optim.Adam, steps=3, capturable=begins)
        params = [torch.nn.Parameter(p) for p in half]
        resumed = thalweg.optim.Adam(params, capturable=ends)
        state = optimizer.state_dict()
        for group in state["param_groups"]:
            group["capturable"] = ends
        resumed.load_state_dict(state)
        generator = torch.Generator().manual_seed(1)
        gradients = [torch.randn(s, generator=generator, dtype=torch.float64) for _ in range(7) for s in SHAPES][12:]
        for step in range(3):
            for p, g in zip(params, gradients[3 * step :], strict=False):
                p.grad = g
            resumed.step()
        torch.testing.assert_close([p.detach() for p in params], plain, rtol=1e-12, atol=1e-12)


def stepped(cls, p, g, **options):
    """The parameter after two differentiable steps."""
    p = p.clone()
    optimizer = cls([p], differentiable=True, **options)
    for scale in (1.0, 0.5):
        p.grad = g * scale
        optimizer.step()
    return p


@every_class
def test_differentiable(cls):
    generator = torch.Generator().manual_seed(5)
    p, g = (torch.randn(2, 3, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(lambda p, g: stepped(cls, p, g, weight_decay=0.1), (p, g), atol=1e-4)


@every_class
def test_differentiable_in_the_learning_rate(cls):
    p, g = torch.linspace(1, 2, 4).double().view(2, 2), torch.linspace(0.5, 1, 4).double().view(2, 2)
    rate = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    torch.set_default_dtype(torch.float64)  # in which ASGD keeps its rate
    try:
        assert torch.autograd.gradcheck(lambda lr: stepped(cls, p, g, lr=lr), (rate,), atol=1e-6)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_leaf_is_refused():
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    with pytest.raises(InputError, match="differentiable=True steps results of operations"):
        thalweg.optim.Adam([p], differentiable=True).step()


def test_codes_cannot_be_followed():
    with pytest.raises(InputError, match="differentiable=True and state_dtype='8bit' do not go together"):
        thalweg.optim.Adam([torch.zeros(3)], state_dtype="8bit", differentiable=True)


MODIFIERS = {"clip_global_norm": 0.5, "weight_decay": 0.1, "cautious": True}


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in sample(recipes())), *in_turns(sample(recipes()), [MODIFIERS])],
    ids=str,
)
def test_functional_is_the_class(name, options):
    made = recipe(name)
    cls = thalweg.optim.drop_in(made) if made.drop_in else drop_ins()[recipe(made.rule.name).drop_in.name]
    given = {**made.preset.defaults, **options}
    generator = torch.Generator().manual_seed(1)
    shapes = ((5, 7), (2, 3, 2)) if cls.recipe.rule.others else SHAPES  # it has no groups
    params = {str(i): torch.randn(s, generator=generator, dtype=torch.float64) for i, s in enumerate(shapes)}
    twins = [torch.nn.Parameter(p.clone()) for p in params.values()]
    optimizer, (init, update) = cls(twins, **given), functional(name, **options)
    states = init(params)
    for _ in range(5):
        gradients = {k: torch.randn(p.shape, generator=generator, dtype=torch.float64) for k, p in params.items()}
        for p, g in zip(twins, gradients.values(), strict=True):
            p.grad = g
        optimizer.step()
        params, states = update(gradients, states, params)
    torch.testing.assert_close([*params.values()], [p.detach() for p in twins], rtol=1e-12, atol=1e-12)


def test_an_ensemble_by_vmap():
    """Five models with learning rates of their own, trained as one."""
    model = torch.nn.Linear(3, 1).double()
    x, y = torch.randn(20, 3).double(), torch.randn(20, 1).double()
    one = {name: p.detach() for name, p in model.named_parameters()}
    rates = torch.linspace(0.01, 0.1, 5, dtype=torch.float64)

    def loss(parameters):
        return (functional_call(model, parameters, x) - y).square().mean()

    def trained(rate):
        init, update = functional("adam", lr=rate)
        parameters, states = one, init(one)
        for _ in range(10):
            parameters, states = update(grad(loss)(parameters), states, parameters)
        return parameters

    together = vmap(trained)(rates)
    for i, rate in enumerate(rates):
        torch.testing.assert_close({k: v[i] for k, v in together.items()}, trained(rate), rtol=1e-12, atol=1e-12)


def test_what_functional_refuses():
    init, update = functional("sgd", momentum=0.9)
    p = {"a": torch.ones(2)}
    with pytest.raises(InputError, match="The gradients must have the names of the parameters; 'a' is among one"):
        update({}, init(p), p)
    with pytest.raises(InputError, match="no hyperparameter 'momentun'"):
        functional("sgd", momentun=0.9)
    with pytest.raises(InputError, match="must be a number in"):
        functional("sgd", lr=-1.0)


def test_compiled_training_goes_on_as_it_is():
    ends = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 2)
        optimizer = thalweg.optim.AdamW(model.parameters(), lr=0.1)

        def train(x, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()

        run = torch.compile(train, backend="eager") if compiled else train
        for _ in range(5):
            run(torch.ones(5, 4))
        ends.append(model.weight.detach().clone())
    assert torch.equal(*ends)


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


def test_a_state_that_becomes_the_parameter_as_it_was():
    @rule(paper="none: written for a test", rates=(1e-3, 1.0))
    def with_difference(g, p, last: Zeros, t, *, lr: Rate = 0.1):
        """Steps by the gradient and the last movement."""
        return lr * (g + p - last), p

    cls = drop_in(with_difference)
    (plain, first), (captured, second) = path(cls), path(cls, capturable=True)
    torch.testing.assert_close(captured, plain, rtol=1e-12, atol=1e-12)
    for optimizer in (first, second):
        moved = [not torch.equal(state["last"], p) for p, state in optimizer.state.items()]
        assert all(moved), "the state is of the step before"
