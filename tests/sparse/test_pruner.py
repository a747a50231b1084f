"""Pruning in a loop of one's own: exact counts, masks that hold whatever the optimizer does, and bitwise resumption."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import thalweg
from scope import THOROUGH
from thalweg.errors import InputError
from thalweg.optim import adamw_rest, grouped
from thalweg.optim.classes import drop_ins
from thalweg.sparse import Pruner, report

STEPS = 1000 if THOROUGH else 100


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def zeros(model: nn.Module) -> int:
    return sum(int((p == 0).sum()) for p in model.parameters() if p.ndim > 1)


def gradients(model: nn.Module, generator: torch.Generator) -> None:
    """Dense gradients of any size, as no loss of a masked weight has to give."""
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


@pytest.mark.parametrize("make", [torch.optim.Adam, thalweg.optim.Adam], ids=["torch", "thalweg"])
def test_sparsity_is_exact_at_every_update(make: Callable[..., Any]) -> None:
    model, generator = net(), torch.Generator().manual_seed(1)
    optimizer = make(model.parameters(), lr=1e-2)
    pruner = Pruner(model, optimizer, sparsity=0.8, begin=2, end=6)
    found = []
    for _ in range(8):
        gradients(model, generator)
        optimizer.step()
        pruner.step()
        found.append(zeros(model))
    weights = 6 * 8 + 8 * 3
    assert found == [0, 0, *(round(s * weights) for s in (0.4625, 0.7, 0.7875, 0.8)), 58, 58]
    assert pruner.sparsity == 58 / 72
    assert report(model).zeros == 58


OURS = {name: of for name, of in drop_ins().items() if of.recipe.rule.states}


@pytest.mark.parametrize("name", OURS)
def test_masks_hold_with_every_optimizer_of_ours(name: str) -> None:
    model, generator, recipe = net(), torch.Generator().manual_seed(2), OURS[name].recipe
    given: dict[str, Any] = {"ema_decay": 0.9, "lookahead_steps": 5}
    given |= {} if recipe.rule.owns_decay else {"weight_decay": 0.1}
    rest = adamw_rest(model) if recipe.rule.others else {}
    optimizer = OURS[name](grouped(model, rest), **given)
    pruner = Pruner(model, optimizer, sparsity=0.5, schedule="constant", begin=5)
    for step in range(1, STEPS + 1):
        gradients(model, generator)
        optimizer.step()
        pruner.step()
        if step >= 5:
            require_masked(model, pruner)
    with optimizer.averaged_weights():
        require_masked(model, pruner)
    assert zeros(model) == 36


def require_masked(model: nn.Module, pruner: Pruner) -> None:
    assert not any(p.detach()[~pruner.masks[n]].any() for n, p in model.named_parameters() if n in pruner.masks)


TORCH: list[tuple[Any, dict[str, Any]]] = [
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (torch.optim.AdamW, {"lr": 0.01}),
    (torch.optim.NAdam, {"lr": 0.01}),
    (torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.9}),
    (torch.optim.ASGD, {"lr": 0.01, "t0": 5}),
    (torch.optim.Rprop, {}),
]


@pytest.mark.parametrize(("make", "given"), TORCH)
def test_masks_hold_with_optimizers_of_torch(make: Any, given: dict[str, Any]) -> None:
    model, generator = net(), torch.Generator().manual_seed(3)
    optimizer = make(model.parameters(), **given)
    pruner = Pruner(model, optimizer, sparsity=0.5, begin=5, end=20)
    for step in range(STEPS):
        gradients(model, generator)
        optimizer.step()
        pruner.step()
        if step >= 20:
            assert zeros(model) == 36
    for name, p in model.named_parameters():
        if name in pruner.masks and "ax" in optimizer.state[p]:
            assert not optimizer.state[p]["ax"][~pruner.masks[name]].any()


def trained(model: nn.Module, optimizer: Any, pruner: Pruner, steps: range) -> None:
    for step in steps:
        gradients(model, torch.Generator().manual_seed(step))
        optimizer.step()
        pruner.step()


@pytest.mark.parametrize("method", ["magnitude", "random"])
def test_it_resumes_bitwise(method: str) -> None:
    def begin() -> tuple[nn.Module, Any, Pruner]:
        model = net()
        optimizer = thalweg.optim.AdamW(model.parameters(), lr=1e-2)
        return model, optimizer, Pruner(model, optimizer, sparsity=0.9, begin=3, end=17, frequency=2, method=method)

    whole = begin()
    trained(*whole, range(20))
    first = begin()
    trained(*first, range(9))
    saved = [copy.deepcopy(of.state_dict()) for of in first]
    second = begin()
    for of, state in zip(second, saved, strict=True):
        of.load_state_dict(state)
    trained(*second, range(9, 20))
    assert all(torch.equal(a, b) for a, b in zip(whole[0].parameters(), second[0].parameters(), strict=True))
    assert all(torch.equal(whole[2].masks[n], second[2].masks[n]) for n in whole[2].masks)


def test_an_average_of_ones_own_is_masked_on_request() -> None:
    model = net()
    average = torch.optim.swa_utils.AveragedModel(model)
    pruner = Pruner(model, sparsity=0.5, schedule="constant")
    assert zeros(average) == 0
    pruner.apply(average)
    assert zeros(average) == 36


def test_excluded_parameters_stay_whole() -> None:
    model = net()
    Pruner(model, sparsity=0.5, schedule="constant", exclude="2.*")
    assert [of.zeros for of in report(model).layers] == [24, 0, 0, 0]


def test_two_of_every_four_in_a_model() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(24, 3))
    Pruner(model, sparsity=0.5, schedule="constant", scope="2:4")
    for layer in (model[0], model[2]):
        kept = (layer.weight != 0).movedim(1, -1).reshape(-1, 4)
        assert (kept.sum(1) == 2).all()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"sparsity": 1}, r"sparsity must be a number in \(0, 1\), got 1."),
        ({"sparsity": 0.5, "end": None}, "schedule='cubic' needs end"),
        ({"sparsity": 0.5, "exclude": ["nothing.*"]}, "exclude must name a parameter or match some"),
        ({"sparsity": 0.5, "scope": "2:4"}, "'0.weight' has 6 inputs"),
        ({"sparsity": 0.5, "exclude": 3}, "exclude must be a list of names or patterns, got 3."),
    ],
)
def test_bad_arguments_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Pruner(net(), **{"end": 10, **given})


def test_a_state_of_another_pruner_or_model_is_refused() -> None:
    state = Pruner(net(), sparsity=0.5, end=10).state_dict()
    with pytest.raises(InputError, match="The state is of another pruner"):
        Pruner(net(), sparsity=0.6, end=10).load_state_dict(state)
    with pytest.raises(InputError, match="The state is of another model"):
        Pruner(nn.Sequential(nn.Linear(4, 4)), sparsity=0.5, end=10).load_state_dict(state)
    with pytest.raises(InputError, match="not of a Pruner"):
        Pruner(net(), sparsity=0.5, end=10).load_state_dict({})
