"""Round 4, what people train: each kind of model and loss beside the plain loop."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import compared, executions, held, numbers, problem, trained
from round3 import lower
from torch import Tensor, nn


def sequences(samples: int, length: int, seed: int, words: int = 7) -> Tensor:
    return torch.randint(1, words, (samples, length), generator=torch.Generator().manual_seed(seed))


def pictures(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (samples, 1, 6, 6), generator=generator, dtype=torch.uint8)
    return x, (x.double().mean((1, 2, 3)) > 127).long()


IMAGES: dict[str, Any] = {
    "train": pictures(40, 1), "validation": pictures(20, 2), "loss": F.cross_entropy, "metric": "accuracy",
}  # fmt: skip


class Net(nn.Module):
    """Bytes normalised in the forward pass, a residual block, batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv, self.bn2, self.out = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = x.double().div_(255).sub_(0.5)
        h = F.relu_(self.bn(self.stem(h)))
        h = h + self.bn2(self.conv(h))
        return self.out(F.adaptive_avg_pool2d(F.relu(h), 1).flatten(1))


class GPT(nn.Module):
    def __init__(self, drop: float = 0.0, *, looks: bool = False) -> None:
        super().__init__()
        self.words, self.place = nn.Embedding(7, 8), nn.Embedding(6, 8)
        self.qkv, self.proj, self.ln = nn.Linear(8, 24), nn.Linear(8, 8), nn.LayerNorm(8)
        self.head = nn.Linear(8, 7, bias=False)
        self.head.weight = self.words.weight
        self.drop, self.looks = drop, looks

    def forward(self, x: Tensor) -> Tensor:
        if self.looks:
            x.sum().item()
        b, t = x.shape
        h = self.words(x) + self.place(torch.arange(t))
        q, k, v = (z.view(b, t, 2, 4).transpose(1, 2) for z in self.qkv(self.ln(h)).split(8, 2))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.drop * self.training)
        return self.head(h + self.proj(a.transpose(1, 2).reshape(b, t, 8)))


def of_words(o: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(o.flatten(0, 1), t.flatten(), ignore_index=0)


def language(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x = sequences(samples, 6, seed)
    y = x.roll(-1, 1)
    y[:, -1] = 0
    return x, y


TEXT: dict[str, Any] = {
    "train": language(40, 1), "validation": language(20, 2), "loss": of_words, "metric": lower(of_words),
}  # fmt: skip


class VAE(nn.Module):
    def __init__(self, *, looks: bool = False) -> None:
        super().__init__()
        self.encode, self.decode, self.looks = nn.Linear(4, 6), nn.Linear(3, 4), looks

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.looks:
            x.sum().item()
        mu, logvar = self.encode(x).chunk(2, 1)
        z = torch.distributions.Normal(mu, (0.5 * logvar).exp()).rsample()
        return self.decode(z), mu, logvar


def elbo(o: Any, t: Tensor) -> Tensor:
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(o[1], (0.5 * o[2]).exp()), torch.distributions.Normal(0.0, 1.0)
    )
    return F.mse_loss(o[0], t, reduction="none").sum(1).mean() + kl.sum(1).mean()


class Diffusion(nn.Module):
    """It draws timesteps and noise, and returns what it predicts beside what it ought to."""

    def __init__(self, *, looks: bool = False) -> None:
        super().__init__()
        self.net, self.time, self.looks = nn.Linear(8, 4), nn.Embedding(10, 4), looks
        self.register_buffer("alphas", torch.linspace(0.99, 0.1, 10))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.looks:
            x.sum().item()
        t, noise = torch.randint(0, 10, (len(x),)), torch.randn_like(x)
        a = self.alphas[t][:, None]
        return self.net(torch.cat([a.sqrt() * x + (1 - a).sqrt() * noise, self.time(t)], 1)), noise


def denoised(o: Any, t: Tensor) -> Tensor:
    return F.mse_loss(o[0], o[1])


class Dropped(nn.Module):
    def __init__(self, *, looks: bool = False) -> None:
        super().__init__()
        self.cell, self.out, self.looks = nn.LSTM(1, 4, 2, batch_first=True, dropout=0.4), nn.Linear(4, 1), looks

    def forward(self, x: Tensor) -> Tensor:
        if self.looks:
            x.sum().item()
        return self.out(self.cell(x[..., None])[0][:, -1])


def itself(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x = numbers(samples, seed)[0]
    return x, x


AUTO: dict[str, Any] = {"train": itself(40, 1), "validation": itself(20, 2)}
DRAWING: dict[str, Any] = {
    "a VAE": (VAE, {**AUTO, "loss": elbo, "metric": lower(elbo)}),
    "diffusion": (Diffusion, {**AUTO, "loss": denoised, "metric": lower(denoised)}),
    "an LSTM with dropout between layers": (Dropped, {}),
    "a GPT with dropout of attention": (lambda looks: GPT(0.3, looks=looks), TEXT),
}


def doubled(model: Callable[..., nn.Module], *, looks: bool) -> nn.Module:
    return model(looks=looks).double()


@pytest.mark.parametrize("samples", [20, 300])
@pytest.mark.parametrize("name", DRAWING)
def test_drawn_as_the_loop_draws(name: str, samples: int) -> None:
    model, changes = DRAWING[name]
    if samples == 300:
        make = language if changes is TEXT else itself if changes else numbers
        changes = {**changes, "validation": make(300, 2)}
    kinds = [problem(partial(doubled, model, looks=looks), own=True, **changes) for looks in (False, True)]
    free, looking = (compared(workload, ["sgd"], seeds=2) for workload in kinds)
    assert executions(looking) == {"loop"}
    ours, theirs = ([m.validation_loss for run in r.runs for m in run.curve] for r in (free, looking))
    assert not any(run.failure for run in (*free.runs, *looking.runs))
    assert ours == pytest.approx(theirs, rel=1e-7)


class VQ(nn.Module):
    """A codebook by moving averages, straight through; `data` for the gradient that passes it."""

    def __init__(self, *, data: bool = False) -> None:
        super().__init__()
        self.encode, self.decode, self.data = nn.Linear(4, 2), nn.Linear(2, 4), data
        self.register_buffer("book", torch.randn(5, 2))
        self.register_buffer("counts", torch.ones(5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.encode(x)
        place = torch.cdist(z, self.book).argmin(1)
        q = self.book[place]
        if self.training:
            with torch.no_grad():
                hot = F.one_hot(place, 5).to(z)
                self.counts.mul_(0.9).add_(hot.sum(0), alpha=0.1)
                self.book.mul_(0.9).add_(hot.t() @ z / self.counts[:, None], alpha=0.1)
        commit = (z - q.detach()).square().mean(1)
        return self.decode(z + ((q - z).data if self.data else (q - z).detach())), commit


def committed(o: Any, t: Tensor) -> Tensor:
    return F.mse_loss(o[0], t) + 0.25 * o[1].mean()


class Physics(nn.Module):
    """u and its gradient in x."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            u = self.net(x)
            return u, torch.autograd.grad(u.sum(), x, create_graph=True)[0]


def residual(o: Any, t: Tensor) -> Tensor:
    return F.mse_loss(o[0], t) + 0.1 * (o[1].sum(1) - 1).square().mean()


PINN: dict[str, Any] = {"loss": residual, "metric": lower(residual)}


class WeightNorm(nn.Module):
    def __init__(self, way: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.first, self.out = way(nn.Linear(4, 5)), nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.first(x)))


class Padded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 8, padding_idx=0)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), 2)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        hidden = torch.arange(x.shape[1]) >= lengths[:, None]
        h = self.encoder(self.words(x), src_key_padding_mask=hidden)
        return self.out(h.masked_fill(hidden[..., None], 0).sum(1) / lengths[:, None])


def padded(samples: int, seed: int, length: int = 6) -> Any:
    x = sequences(samples, length, seed)
    lengths = torch.randint(1, length + 1, (samples,), generator=torch.Generator().manual_seed(seed + 9))
    x[torch.arange(length) >= lengths[:, None]] = 0
    return (x, lengths), x.double().sum(1, keepdim=True) / 9


LENGTHS: dict[str, Any] = {"train": padded(40, 1), "validation": padded(20, 2)}
KINDS: dict[str, Any] = {
    "bytes, residual, batch norm": (Net, IMAGES), "a GPT": (GPT, TEXT),
    "VQ by moving averages": (VQ, {**AUTO, "loss": committed, "metric": lower(committed)}),
    "VQ by .data": (lambda: VQ(data=True), {**AUTO, "loss": committed, "metric": lower(committed)}),
    "physics by autograd": (Physics, PINN),
    "weight norm by hooks": (lambda: WeightNorm(nn.utils.weight_norm), {}),
    "spectral norm by hooks": (lambda: WeightNorm(nn.utils.spectral_norm), {}),
    "padded sequences": (Padded, LENGTHS),
    "padded, longer in validation": (Padded, {**LENGTHS, "validation": padded(20, 2, 9)}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_it_trains_as_by_hand(name: str) -> None:
    model, changes = KINDS[name]
    held(model, options={"seeds": 2}, **changes)


class Depends(nn.Module):
    """In evaluation each answer depends on the other samples, too."""

    def __init__(self, *, wide: int = 0, drop: float = 0.0) -> None:
        super().__init__()
        self.first, self.drop = nn.Linear(4, 6), nn.Dropout(drop)
        self.norm, self.out = nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 1)
        if wide:
            self.register_buffer("wide", torch.zeros(wide))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.norm(self.drop(self.first(x)))))


@pytest.mark.parametrize("kind", ["dropout", "large"])
def test_a_model_that_normalizes_by_the_split_says_so_with(kind: str) -> None:
    model = partial(Depends, drop=1e-12) if kind == "dropout" else partial(Depends, wide=9_000_000)
    workload = problem(model, validation=numbers(300, 2), epochs=1)
    result = compared(workload, ["sgd"], learning_rates=[0.02])
    if not any("at a time" in note for note in result.study.notes):
        expected = trained(workload, "sgd", 0.02, 0)[0][-1]
        assert result.runs[0].curve[-1].validation_loss == pytest.approx(expected)


def test_accuracy_of_a_class_that_is_the_ignored_label_in_a_byte() -> None:
    x, y = F.one_hot(torch.arange(200)).double().repeat(2, 1), torch.arange(200, dtype=torch.uint8).repeat(2)
    only = (x[156:157], y[156:157])
    given: dict[str, Any] = {"loss": nn.CrossEntropyLoss(), "metric": "accuracy", "epochs": 3}
    workload = problem(lambda: nn.Linear(200, 200), train=(x, y), validation=only, **given)
    result = compared(workload, ["adam"], learning_rates=[0.004])
    _, model = trained(workload, "adam", 0.004, 0)
    expected = float((model.eval()(only[0]).argmax(1) == only[1]).double().mean())
    assert result.runs[0].curve[-1].validation_metric == pytest.approx(expected)
