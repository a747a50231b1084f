"""Round 5: models and losses of popular repositories, each held to the same training by hand."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, executions, held, numbers, problem
from round3 import lower
from round5 import (
    Of,
    adapted,
    annealed,
    autocast,
    cutout,
    dann,
    distribution,
    drop_path,
    equilibrium,
    flow,
    forces,
    gp,
    graph,
    hyper,
    lora,
    lstm_cells,
    mixup,
    moco,
    moe,
    observer,
    ode,
    renormed,
    rope,
    spectral,
    straight_through,
)
from torch import Tensor, nn

from thalweg import InputError

L, P = nn.Linear, nn.Parameter


@dataclass
class Output:
    logits: Tensor
    aux: Tensor | None = None


class ModelOutput(dict):
    """Hugging Face's: a dictionary with attributes."""

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(key) from None


def first(o: Any, t: Tensor) -> Tensor:
    return F.mse_loss(o[0], t) + 0.1 * o[1].mean()


def adversarial(o: Any, t: Tensor) -> Tensor:
    return F.mse_loss(o[0], t) + F.binary_cross_entropy_with_logits(o[1], (t > 0).to(t))


def likelihood(o: Any, t: Tensor) -> Tensor:
    return torch.cholesky_solve(t, o[0]).mul(t).mean() + torch.log(torch.diagonal(o[0])).mean()


AB = {"a": lambda: L(4, 4), "b": lambda: L(4, 1)}
ab = lambda: {k: v() for k, v in AB.items()}  # noqa: E731
KEYS = lower(lambda o, t: F.cross_entropy(o, torch.zeros(len(o), dtype=torch.long)))
ZERO = {"loss": KEYS.function, "metric": KEYS}
FIRST = {"loss": first, "metric": lower(first)}
ON = partial(torch.ones, dtype=torch.float64)

MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "drop path": (ab, drop_path, {}),
    "mixup": (lambda: {"a": L(4, 1)}, mixup, {}),
    "cutout": (lambda: {"a": L(4, 1)}, cutout, {}),
    "gradient reversal": (lambda: {**ab(), "c": L(4, 1)}, dann, {"loss": adversarial, "metric": lower(adversarial)}),
    "a queue of keys": (
        lambda: {"a": L(4, 3), "k": L(4, 3).requires_grad_(False), "queue": F.normalize(torch.randn(3, 16), dim=0),
                 "ptr": torch.zeros(1, dtype=torch.long)}, moco, ZERO),
    "experts": (lambda: {"a": L(4, 3), "experts": nn.ModuleList(L(4, 1) for _ in range(3))}, moe, FIRST),
    "rotary": (lambda: {"a": L(4, 16), "b": L(16, 1)}, rope, {}),
    "ode": (lambda: {"a": L(5, 4), "b": L(4, 1)}, ode, {}),
    "equilibrium": (ab, equilibrium, {}),
    "lora": (lambda: {"a": L(4, 4).requires_grad_(False), "down": P(torch.randn(2, 4)), "up": P(torch.zeros(4, 2)),
                      "b": L(4, 1)}, lora, {}),
    "fourier operator": (lambda: {**ab(), "w": P(torch.randn(3, 2))}, spectral, {}),
    "flow": (lambda: {"a": L(2, 4), "w": P(torch.eye(4) + 0.1)}, flow,
             {"loss": lambda o, t: (o[0].square().sum(1) / 2 - o[1]).mean(),
              "metric": lower(lambda o, t: o[0].square().mean())}),
    "gaussian process": (lambda: {"a": L(4, 2)}, gp, {"loss": likelihood, "metric": lower(likelihood)}),
    "graph": (lambda: {"a": L(4, 4), "b": L(4, 4), "c": L(4, 1),
                       "edges": torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]])}, graph, {}),
    "scheduled sampling": (lambda: {"cell": nn.LSTMCell(2, 6), "b": L(6, 1)}, lstm_cells, {}),
    "binary weights": (lambda: {"w": P(torch.randn(4, 4)), "b": L(4, 1)}, straight_through, {}),
    "observer": (lambda: {"a": L(4, 1), "low": ON(()) * 1e3, "high": ON(()) * -1e3}, observer, {}),
    "distribution": (lambda: {"a": L(4, 4), "b": L(2, 1)}, distribution, FIRST),
    "hypernetwork": (lambda: {"a": L(1, 4), "b": L(4, 1), "c": L(4, 1)}, hyper, {}),
    "a dataclass": (lambda: {"a": L(4, 1)}, lambda m, x: Output(m.a(x)),
                    {"loss": lambda o, t: F.mse_loss(o.logits, t),
                     "metric": lower(lambda o, t: F.l1_loss(o.logits, t))}),
    "a dictionary with attributes": (
        lambda: {"a": L(4, 1)}, lambda m, x: ModelOutput(logits=m.a(x)),
        {"loss": lambda o, t: F.mse_loss(o.logits, t), "metric": lower(lambda o, t: F.l1_loss(o["logits"], t))}),
    "frozen by no_grad": (ab, lambda m, x: m.b(torch.tanh(m.a(x)).detach() if m.training else torch.tanh(m.a(x))), {}),
    "batch norm without momentum": (lambda: {**ab(), "n": nn.BatchNorm1d(4, momentum=None)},
                                    lambda m, x: m.b(m.n(m.a(x))), {}),
    "instance norm": (lambda: {"n": nn.InstanceNorm1d(2, affine=True, track_running_stats=True), "b": L(4, 1)},
                      lambda m, x: m.b(m.n(x.view(-1, 2, 2)).flatten(1)), {}),
    "rrelu": (ab, lambda m, x: m.b(F.rrelu(m.a(x), training=m.training)), {}),
    "prelu": (lambda: {**ab(), "p": nn.PReLU(4)}, lambda m, x: m.b(m.p(m.a(x))), {}),
    "bilinear": (lambda: {"b": nn.Bilinear(4, 4, 1)}, lambda m, x: m.b(x, x.flip(1)), {}),
    "max unpooling": (lambda: {"a": L(4, 8), "b": L(8, 1)}, lambda m, x: m.b(F.max_unpool1d(
        *F.max_pool1d(m.a(x)[:, None], 2, return_indices=True), 2)[:, 0]), {}),
    "fractional pooling": (lambda: {"a": L(4, 25), "b": L(9, 1)}, lambda m, x: m.b(F.fractional_max_pool2d(
        m.a(x).view(-1, 1, 5, 5), 2, output_size=3).flatten(1)), {}),
    "bidirectional": (lambda: {"r": nn.GRU(1, 3, 2, batch_first=True, bidirectional=True), "b": L(6, 1)},
                      lambda m, x: m.b(m.r(x[..., None])[0][:, -1]), {}),
    "decoder": (lambda: {"d": nn.TransformerDecoderLayer(4, 2, 8, 0.0, batch_first=True), "b": L(4, 1)},
                lambda m, x: m.b(m.d(x[:, None], x[:, None].flip(2))[:, 0]), {}),
    "orthogonal": (lambda: {"a": nn.utils.parametrizations.orthogonal(L(4, 4)), "b": L(4, 1)},
                   lambda m, x: m.b(m.a(x)), {}),
    "svd": (ab, lambda m, x: m.b(m.a(x)) + torch.linalg.svdvals(m.a.weight)[0], {}),
    "checkpointed": (ab, lambda m, x: m.b(torch.utils.checkpoint.checkpoint(
        lambda y: torch.tanh(m.a(y)), x, use_reentrant=False)), {}),
    "hard mining": (lambda: {"a": L(4, 1)}, lambda m, x: m.a(x), {
        "loss": lambda o, t: (o - t).square().flatten().topk(max(1, len(o) // 2))[0].mean()}),
    "stateful penalty": (ab, lambda m, x: (m.b(m.a(x)), sum(p.abs().sum() for p in m.parameters())), {
        "loss": lambda o, t: F.mse_loss(o[0], t) + 1e-3 * o[1], "metric": lower(lambda o, t: F.mse_loss(o[0], t))}),
    "meta-learning": (ab, adapted, {}),
    "energy's forces": (ab, forces, {}),
    "nan_to_num": (lambda: {"a": L(4, 1)}, lambda m, x: m.a(torch.nan_to_num(x.log())), {}),
    "weights by hand in place": (ab, renormed, {}),
    "stochastic weights": (ab, lambda m, x: m.b(F.linear(x, m.a.weight + 0.1 * torch.randn_like(m.a.weight)
                                                         * m.training, m.a.bias)), {}),
    "layer drop": (ab, lambda m, x: m.b(m.a(x) if not m.training or np.random.rand() > 0.3 else x), {}),
    "autocast": (ab, autocast, {"close": 3e-2}),
    "sampled from multinomial": (ab, lambda m, x: m.b(m.a(x[:, torch.multinomial(torch.ones(4), 4)]
                                                          if m.training else x)), {}),
    "annealed by epoch": (ab, annealed, {}),
}  # fmt: skip


DRAWING = {
    "drop path", "mixup", "cutout", "scheduled sampling", "distribution", "rrelu", "fractional pooling",
    "stochastic weights", "layer drop", "sampled from multinomial",
}  # fmt: skip
REFUSED = {"a dataclass", "a dictionary with attributes"}


def looking(call: Any, m: Any, x: Tensor) -> Any:
    x.sum().item()
    return call(m, x)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(MODELS.keys() - DRAWING - REFUSED))
def test_a_research_model_trains_as_by_hand(name: str) -> None:
    make, call, changes = MODELS[name]
    held(partial(Of, make, call), options={"seeds": 2}, **changes)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("samples", [20, 300])
@pytest.mark.parametrize("name", sorted(DRAWING))
def test_a_research_model_draws_as_the_loop_draws(name: str, samples: int) -> None:
    make, call, changes = MODELS[name]
    changes = {**changes, "validation": numbers(samples, 2)}
    free, loop = (
        compared(problem(partial(Of, make, c), **changes), ["sgd"], seeds=2) for c in (call, partial(looking, call))
    )
    assert executions(loop) == {"loop"}
    assert not any(run.failure for run in (*free.runs, *loop.runs))
    ours, theirs = ([m.validation_loss for run in r.runs for m in run.curve] for r in (free, loop))
    assert ours == pytest.approx(theirs, rel=1e-7)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_outputs_that_hide_their_tensors_are_refused_in_a_sentence(name: str) -> None:
    make, call, changes = MODELS[name]
    with pytest.raises(InputError, match="must return a tensor"):
        held(partial(Of, make, call), **changes)
