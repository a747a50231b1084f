"""Round 6: models that change while an optimizer trains them, beside torch's class."""

import pytest
import torch
from adversary import THEIRS
from test_round6 import NAMES
from torch import nn
from torch.nn.utils import prune

import thalweg.optim


def trained(module, name, make, change=None, steps=5, **options):
    """A small model's weights after training, with something done at each step."""
    torch.manual_seed(0)
    model = make().double()
    optimizer = getattr(module, name)(model.parameters(), **{**THEIRS[name], "lr": 0.02, **options})
    x = torch.linspace(-1, 1, 24, dtype=torch.float64).view(6, 4)
    for i in range(steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        if change:
            change(model, optimizer, i)
        optimizer.step()
    return [p.detach() for p in model.parameters()]


def mlp():
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))


class Ensemble(nn.Module):
    """Stacked parameters of three models, by torch.func."""

    def __init__(self):
        super().__init__()
        models = [mlp().double() for _ in range(3)]
        stacked, _ = torch.func.stack_module_state(models)
        self.names = list(stacked)
        self.stacked = nn.ParameterList(nn.Parameter(v.detach()) for v in stacked.values())
        self.base = [models[0]]

    def forward(self, x):
        return torch.vmap(lambda p: torch.func.functional_call(self.base[0], p, x))(
            dict(zip(self.names, self.stacked, strict=True)))  # fmt: skip


def pruned_in_flight(m, o, i):
    if i == 2:
        prune.l1_unstructured(m[0], "weight", 0.5)
    if i == 4:
        prune.remove(m[0], "weight")


def grown(m, o, i):
    if i == 2:
        m.add_module("3", nn.Linear(2, 2).double())
        o.add_param_group({"params": m[3].parameters(), "lr": 0.01})


def shrunk(m, o, i):
    """A layer's width is cut in flight, with its state."""
    if i == 2:
        for p, to in ((m[0].weight, (3, 4)), (m[0].bias, (3,)), (m[2].weight, (2, 3))):
            cut = tuple(slice(n) for n in to)
            p.grad = None
            p.data = p.data[cut].clone()
            for k, v in o.state[p].items():
                if torch.is_tensor(v) and v.dim() == len(to):
                    o.state[p][k] = v[cut].clone()


def recast(m, o, i):
    if i == 2:
        m.register_full_backward_hook(lambda *a: None)
    m.to(memory_format=torch.preserve_format).requires_grad_(True)


def with_flags(m, o, i):
    for g in o.param_groups:
        g["foreach"], g["maximize"] = (None, i % 2 == 0)


def lr_of_a_group_by_index(m, o, i):
    o.param_groups[-1].update(lr=0.02 / (i + 1))


def swa(m, o, i):
    m.s = getattr(m, "s", None) or [torch.optim.swa_utils.SWALR(o, 0.005, anneal_epochs=3)]
    m.s[0].step()


def merged(m, o, i):
    """Residual weights are merged and the states cleared, as ReLoRA does."""
    if i == 3:
        with torch.no_grad():
            m[2].weight += 0.1 * m[2].weight.new_ones(2, 1) @ m[0].weight[:1]
        o.state.clear()


def half_the_states(m, o, i):
    if i == 2:
        del o.state[m[0].weight]


CHANGES = {
    "ensemble": (Ensemble, None), "pruned": (mlp, pruned_in_flight), "grown": (mlp, grown), "shrunk": (mlp, shrunk),
    "recast": (mlp, recast), "flags": (mlp, with_flags), "update": (mlp, lr_of_a_group_by_index), "swa": (mlp, swa),
    "merged": (mlp, merged), "half the states": (mlp, half_the_states),
    "lstm": (lambda: nn.Sequential(nn.Linear(4, 3), Last(nn.LSTM(3, 2, 2))), None),
    "spectral norm": (lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))), None),
    "convolution": (
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2, bias=False), nn.BatchNorm2d(3), nn.ReLU()
        ), None,
    ),
}  # fmt: skip


class Last(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        return self.cell(x)[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("name", [n for n in NAMES if n != "NAdam"])
def test_a_model_changes_in_training(name, kind):
    ours, theirs = (trained(m, name, *CHANGES[kind]) for m in (thalweg.optim, torch.optim))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
