"""Parameters and gradients of unusual shapes, layouts, storage and kinds: as with torch."""

import warnings

import pytest
import torch

import thalweg.optim
from adversarial.adversary import THEIRS, Run, gradient, parameters, same
from thalweg.errors import InputError

every = pytest.mark.parametrize("name", THEIRS)
few = pytest.mark.parametrize("name", ["SGD", "NAdam"])


def dense(*shapes):
    return lambda: parameters(shapes=shapes)


def sliced():
    """Parts of one storage, one behind the other, at odd offsets."""
    base = torch.linspace(-1, 1, 101, dtype=torch.float64)
    return [base[1:8].requires_grad_(), base[8:20].view(3, 4).requires_grad_(), base[20:21].requires_grad_()]


def permuted():
    return [
        p.detach().permute(5, 0, 3, 1, 2, 4, 6).requires_grad_() for p in parameters(shapes=[(2, 3, 1, 2, 2, 3, 1)])
    ]


def with_gaps():
    return [torch.linspace(-1, 1, 40, dtype=torch.float64).view(5, 8)[:, ::3].requires_grad_()]


def by_strides():
    base = torch.linspace(-1, 1, 64, dtype=torch.float64)
    return [base.as_strided((3, 4), (5, 1), 7).requires_grad_(), base.as_strided((2, 3), (1, 2), 40).requires_grad_()]


def of_single_elements():
    return parameters(shapes=[(), (1,), (1, 1, 1), (1, 0), (0,)])


def strange_strides_of_ones():
    return [torch.linspace(-1, 1, 6, dtype=torch.float64).as_strided((1, 6, 1), (77, 1, 13)).requires_grad_()]


def last_channels_of_one():
    return [
        p.detach().to(memory_format=torch.channels_last).requires_grad_() for p in parameters(shapes=[(2, 1, 3, 3)])
    ]


LAYOUTS = [sliced, permuted, with_gaps, by_strides, of_single_elements, strange_strides_of_ones, last_channels_of_one]


@every
@pytest.mark.parametrize("make", LAYOUTS, ids=lambda make: make.__name__)
def test_layouts(name, make):
    same(name, lambda run: run.step(4), make=make)


@few
@pytest.mark.parametrize("make", LAYOUTS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("option", ["clip", "centralize"])
def test_layouts_with_clipping_and_decay_are_those_of_contiguous_ones(name, make, option):
    options = {"clip": {"clip_tensor_norm": 0.3, "lookahead_steps": 2}, "centralize": {"centralize": True}}[option]
    one = Run(getattr(thalweg.optim, name), make(), **THEIRS[name], **options)
    plain = [p.detach().clone(memory_format=torch.contiguous_format).requires_grad_() for p in make()]
    two = Run(getattr(thalweg.optim, name), plain, **THEIRS[name], **options)
    one.step(4)
    two.step(4)
    torch.testing.assert_close(one.values(), two.values(), rtol=1e-12, atol=1e-13)


@every
@pytest.mark.parametrize("to", [torch.float32, torch.complex128, torch.bfloat16])
def test_a_dtype_that_changes_in_mid_run(name, to):
    """torch's own error, or one sentence, where moments do not fit any more; else what torch does."""
    run = Run(getattr(thalweg.optim, name), **THEIRS[name])
    run.step(2)
    for p in run.params:
        p.grad = None
        p.data = p.data.to(to)
    run.fill()
    before = run.values()
    try:
        run.optimizer.step()
    except InputError:
        torch.testing.assert_close(run.values(), before, rtol=0, atol=0)
    assert all(p.dtype == to and bool(torch.isfinite(p).all()) for p in run.params)


@few
def test_a_parameter_of_one_number_comes_to_be_read_with_the_other_sign(name):
    """The imaginary part of a conjugate is the same memory, to be read with the other sign."""

    def make():
        return [torch.tensor([1 + 2j], dtype=torch.complex128).imag.requires_grad_()]

    def act(run):
        (p,) = run.params
        run.step(3)
        p.grad = None
        p.data = torch.tensor([1 + 2j], dtype=torch.complex128).imag
        run.step(2)
        whole = torch.tensor([1 + 2j], dtype=torch.complex128)
        p.grad, p.data = None, whole.imag
        run.step(3)
        p.grad, p.data = None, whole.conj().imag
        run.step(3)

    same(name, act, make=make)


@pytest.mark.parametrize(
    "name",
    ["SGD", "AdamW"],
)
def test_a_conjugated_parameter(name):
    """torch refuses where it looks at real parts, and steps where it does not; here a sentence says what to give."""

    def make():
        return [torch.linspace(-1, 1, 6, dtype=torch.float64).to(torch.complex128).add(1j).conj().requires_grad_()]

    run = Run(getattr(thalweg.optim, name), make(), **THEIRS[name])
    with pytest.raises(InputError, match="resolve_conj"):
        run.step()


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("layout", ["csr", "mkldnn"])
def test_gradients_in_other_layouts_are_refused_as_by_torch(name, layout):
    def act(module):
        p = torch.linspace(-1, 1, 6).view(2, 3).requires_grad_()
        run = Run(getattr(module, name), [p], **THEIRS[name])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            g = torch.ones(2, 3).to_sparse_csr() if layout == "csr" else torch.ones(2, 3).to_mkldnn()
        try:
            p.grad = g
            run.optimizer.step()
        except (RuntimeError, NotImplementedError) as error:
            return type(error)
        return run.values()

    assert act(thalweg.optim) == act(torch.optim)


@few
def test_memory_at_odd_addresses(name):
    def make():
        memory = bytearray(8 * 40 + 3)
        p = torch.frombuffer(memory, dtype=torch.float32, count=40, offset=3)
        return [p.copy_(torch.linspace(-1, 1, 40)).requires_grad_()]

    same(name, lambda run: run.step(4), make=make, rtol=1e-5, atol=1e-6)


@every
def test_parameters_that_are_not_made_yet(name):
    """Layers whose size the first batch decides; torch refuses them where it makes state at once."""

    def act(module):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.LazyLinear(4), torch.nn.Tanh(), torch.nn.LazyLinear(1)).double()
        try:
            optimizer = getattr(module, name)(model.parameters(), **THEIRS[name])
        except (ValueError, TypeError, RuntimeError) as error:
            return str(error) and []
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(2, 3, dtype=torch.float64)).square().sum().backward()
            optimizer.step()
        return [p.detach() for p in model.parameters()]

    torch.testing.assert_close(act(thalweg.optim), act(torch.optim), rtol=1e-11, atol=1e-12)


@few
def test_a_parameter_of_ten_dimensions(name):
    same(name, lambda run: run.step(3), make=dense((1, 2, 1, 2, 1, 2, 1, 2, 1, 2)))


@few
def test_a_thousand_parameters_of_one_number(name):
    def act(run):
        for step in range(3):
            for i, p in enumerate(run.params):
                p.grad = gradient(p, step + i * 0.01)
            run.optimizer.step()

    same(name, act, make=lambda: [p for _ in range(1000) for p in parameters(shapes=[()])])
