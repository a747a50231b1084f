"""Penalties and constraints against their definitions: autograd, a search for the minimum, closed forms."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import nn

import thalweg.optim
from thalweg.errors import InputError
from thalweg.optim import constrain_norms, grouped, penalty, proximal_step, regularized
from thalweg.regularization import constraints, penalties

POINTS = [-3.0, -1.0, -0.2, -1e-3, 0.0, 1e-3, 0.2, 1.0, 3.0]


@pytest.mark.parametrize("q", POINTS)
@pytest.mark.parametrize(("size1", "size2"), [(0.2, 0.0), (0.0, 0.5), (0.2, 0.5), (1.0, 0.1)])
def test_a_proximal_step_solves_its_problem(q: float, size1: float, size2: float) -> None:
    found = float(penalties.shrunk(penalties.soft_threshold(np.array(q), size1), size2))

    def problem(x: float) -> float:
        return (x - q) ** 2 / 2 + size1 * abs(x) + size2 / 2 * x**2

    by_search = minimize_scalar(problem, bracket=(-4.0, 4.0), tol=1e-12)
    assert problem(found) <= by_search.fun + 1e-15
    assert found == pytest.approx(by_search.x, abs=1e-6)
    slope = q - found - size2 * found  # 0 lies in the subdifferential
    assert slope == pytest.approx(size1 * np.sign(found)) if found else abs(slope) <= size1


def test_what_is_closer_than_the_threshold_is_exactly_zero_and_nan_stays() -> None:
    p = torch.tensor([0.1, -0.1, 0.09999, 0.2, float("nan"), float("inf")])
    found = penalties.soft_threshold(p, 0.1)
    assert found[:3].tolist() == [0.0] * 3
    assert found[3].item() == pytest.approx(0.1)
    assert found[4].isnan()
    assert found[5].isinf()


def test_gradients_are_those_of_the_losses() -> None:
    p = torch.linspace(-2, 2, 8, dtype=torch.float64, requires_grad=True)
    (penalties.l1_loss(p, 0.3) + penalties.l2_loss(p, 0.7)).sum().backward()
    gradient = penalties.l1(penalties.l2(torch.zeros(8), p.detach(), 0.7), p.detach(), 0.3)
    torch.testing.assert_close(p.grad, gradient)


def test_keras_numbers() -> None:
    """Keras 3.15, run: L2(.1) of [1, 2] is .5; MaxNorm(2) takes a norm of .5 to .49991 after 1,000 calls in float32."""
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0]]))
    assert penalty(model, l2=0.1, convention="keras").item() == pytest.approx(0.5)
    assert penalty(model, l2=0.1).item() == pytest.approx(0.25)
    unit, exact = torch.tensor([[[0.3, 0.4]]]), torch.tensor([[[0.3, 0.4]]])
    for _ in range(1000):
        unit = constraints.norm_within(unit, None, 2.0, as_keras=True)
        exact = constraints.norm_within(exact, None, 2.0)
    assert unit.norm().item() == pytest.approx(0.49991, abs=1e-5)
    assert exact.tolist() == torch.tensor([[[0.3, 0.4]]]).tolist()


def test_a_coupled_l2_is_torchs_weight_decay_and_half_of_keras() -> None:
    def after(cls: type, **options: object) -> torch.Tensor:
        p = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
        optimizer = cls([p], lr=0.1, **options)
        for step in range(5):
            p.grad = torch.tensor([0.3, -0.1], dtype=torch.float64) * step
            optimizer.step()
        return p.detach()

    torchs = after(torch.optim.SGD, momentum=0.9, weight_decay=2e-2)
    torch.testing.assert_close(after(thalweg.optim.SGD, momentum=0.9, l2=2e-2), torchs)
    ours = after(thalweg.optim.SGD, momentum=0.9, l2=1e-2, keras_regularizers=True)
    torch.testing.assert_close(ours, torchs)


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 2), (4, 3, 2, 2), (4, 3, 2, 2, 2)])
def test_norms_are_of_the_outputs_of_layers_and_filters(shape: tuple[int, ...]) -> None:
    p = 3 * torch.randn(1, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for unit, new in zip(p[0], constraints.norm_within(p, 1.0, 2.0)[0], strict=True):
        norm = unit.square().sum().sqrt()
        torch.testing.assert_close(new, unit * norm.clamp(1.0, 2.0) / norm)
    ones = constraints.unit_norm(p)[0].flatten(1).norm(dim=1)
    torch.testing.assert_close(ones, torch.ones(4, dtype=torch.float64))


def test_a_unit_at_zero_stays_and_a_limit_that_is_met_changes_no_bit() -> None:
    p = torch.tensor([[[0.0, 0.0], [1e-3, 2e-3], [0.1, 0.7]]])
    assert torch.equal(constraints.norm_within(p, 0.5, None)[0, 0], torch.zeros(2))
    assert torch.equal(constraints.norm_within(p, None, 1.0, 0.3), p)
    assert torch.equal(constraints.unit_norm(p)[0, 0], torch.zeros(2))


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.norm = nn.LayerNorm(4)
        self.hidden = nn.Linear(4, 3)
        self.filter = nn.Conv1d(2, 3, 2)


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("weight", {"hidden.weight", "filter.weight"}),
        ("bias", {"hidden.bias", "filter.bias"}),
        ("norm", {"norm.weight", "norm.bias"}),
        ("embedding", {"embedding.weight"}),
        ("hidden.*", {"hidden.weight", "hidden.bias"}),
        (nn.Conv1d, {"filter.weight"}),
        (["embedding", nn.Linear], {"embedding.weight", "hidden.weight"}),
    ],
)
def test_only_some_parameters(only: object, names: set[str]) -> None:
    model = Small()
    rules = regularized(model, only, l1=0.5)  # type: ignore[arg-type]
    assert rules == {name: {"l1": 0.5} for name in names}
    groups = {name: group.get("l1") for group in grouped(model, rules) for name, _ in group["params"]}
    assert {name for name, l1 in groups.items() if l1} == names


@pytest.mark.parametrize(
    ("only", "sentence"),
    [
        ("head.*", "No parameter of the model is called 'head.*'"),
        (nn.Conv2d, "The model has no Conv2d with weights"),
        (3, "only must be one of weight, bias, norm, embedding"),
        ([], "means none of them"),
    ],
)
def test_what_means_no_parameter_is_refused(only: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence.replace("*", r"\*") if isinstance(only, str) else sentence):
        regularized(Small(), [only] if only == 3 else only, l1=0.5)  # type: ignore[list-item, arg-type]


def test_a_loop_of_ones_own_with_torchs_optimizer_takes_the_same_steps() -> None:
    """torch.optim with `penalty`, `proximal_step` and `constrain_norms`, and ours with the options."""
    ends = []
    for own in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).double()
        x, y = torch.randn(20, 6).double(), torch.randn(20, 2).double()
        options = {"l1": 0.01, "l2": 0.1, "proximal_l1": 0.05, "max_norm": 0.7}
        params = grouped(model, regularized(model, **options)) if own else model.parameters()
        cls = thalweg.optim.SGD if own else torch.optim.SGD
        optimizer = cls(params, lr=0.1, momentum=0.9)
        for _ in range(20):
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean()
            (loss if own else loss + penalty(model, l1=0.01, l2=0.1)).backward()
            optimizer.step()
            if not own:
                proximal_step(model, 0.1, proximal_l1=0.05)
                constrain_norms(model, max_norm=0.7)
        ends.append([p.detach().clone() for p in model.parameters()])
    torch.testing.assert_close(ends[0], ends[1])
    assert (ends[0][0] == 0).any()


def test_a_transposed_convolution_has_its_units_along_its_second_dimension() -> None:
    layer = nn.ConvTranspose2d(3, 4, 2)
    constrain_norms(nn.Sequential(layer), unit_norm=True)
    torch.testing.assert_close(layer.weight.transpose(0, 1).flatten(1).norm(dim=1), torch.ones(4))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"unit_norm": True, "max_norm": 1.0}, "unit_norm sets every norm to 1: leave out max_norm and min_norm"),
        ({"min_norm": 2.0, "max_norm": 1.0}, "its min_norm is 2 and its max_norm 1"),
        ({"l1": -1.0}, r"The 'l1' of SGD must be a number in \[0, inf\), got -1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        thalweg.optim.SGD(nn.Linear(2, 2).parameters(), **options)


def test_a_proximal_step_is_refused_where_other_weights_are_evaluated() -> None:
    with pytest.raises(InputError, match="evaluated by other weights than proximal_l1 makes 0"):
        thalweg.optim.SGDScheduleFree(nn.Linear(2, 2).parameters(), lr=0.1, proximal_l1=0.1)


def test_biases_have_no_units() -> None:
    with pytest.raises(InputError, match="has no units"):
        constrain_norms(nn.Linear(2, 2), only="bias", unit_norm=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"l2": 0.1}, "Adam: l2 is added to the gradient, .* weight_decay with decoupled_weight_decay=True .AdamW."),
        ({"l1": 0.1}, "Adam: l1 is added to the gradient, .* proximal_l1 shrinks all alike, and to 0"),
    ],
)
def test_coupled_penalties_of_an_adaptive_optimizer_warn_once(
    options: dict[str, float], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.optim.stepping.diagnostics._told", set())
    made = [nn.Linear(2, 2) for _ in range(2)]
    with pytest.warns(thalweg.optim.CoupledDecay, match=sentence) as caught:
        [thalweg.optim.Adam(model.parameters(), **options) for model in made]
    assert len(caught) == 1


def test_penalties_of_plain_descent_and_proximal_ones_do_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    thalweg.optim.SGD(nn.Linear(2, 2).parameters(), l1=0.1, l2=0.1)
    thalweg.optim.Adam(nn.Linear(2, 2).parameters(), proximal_l1=0.1, max_norm=1.0)
    assert not recwarn.list
