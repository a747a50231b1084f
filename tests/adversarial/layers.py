"""Layers and ways to hold parameters that models have."""

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune


class TiedByData(nn.Module):
    """Two parameters in one memory."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.double()
        self.b.weight.data = self.a.weight.data

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.b(torch.tanh(self.a(x)))))


class TiedProperly(TiedByData):
    def __init__(self) -> None:
        super().__init__()
        self.b.weight = self.a.weight


class TiedByLoading(TiedByData):
    """`load_state_dict(assign=True)` of one tensor under two names."""

    def __init__(self) -> None:
        super().__init__()
        held = OrderedDict(self.state_dict())
        held["b.weight"] = held["a.weight"]
        self.load_state_dict(held, assign=True)


class TiedTurned(nn.Module):
    """An autoencoder whose decoder is the encoder's weight, turned."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.out = nn.Linear(4, 3), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.linear(torch.tanh(self.encoder(x)), self.encoder.weight.t()))


class Mixed(nn.Module):
    """Parameters of two dtypes, the smaller one first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 1, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x.float())).double())


class Strided(nn.Module):
    """A parameter with gaps between its elements, and one that lies in memory column by column."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps = nn.Parameter(torch.randn(6, 8, dtype=torch.float64)[:, ::2])
        self.turned = nn.Parameter(torch.randn(6, 1, 2, dtype=torch.float64).permute(1, 0, 2)[..., 0])

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.gaps.t()) @ self.turned.t()


class Flat(nn.Module):
    """Parameters that are places of one memory, side by side."""

    def __init__(self) -> None:
        super().__init__()
        memory = torch.randn(30, dtype=torch.float64)
        self.a, self.b = nn.Parameter(memory[:20].view(5, 4)), nn.Parameter(memory[20:25].view(1, 5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.a.t()) @ self.b.t()


class Empty(nn.Module):
    """A parameter without elements, one without dimensions, and one that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.none, self.scale = nn.Parameter(torch.empty(0, 4)), nn.Parameter(torch.tensor(0.5))
        self.out, self.unused = nn.Linear(4, 1), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) * self.scale + (x @ self.none.t()).sum()


class EmptyBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 1, dtype=torch.float64)
        self.register_buffer("cache", torch.empty(0))
        self.register_buffer("flag", torch.tensor([True, False, True, True]), persistent=False)
        self.register_buffer("turn", torch.tensor([1j, 1.0], dtype=torch.complex128))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x * self.flag) + self.turn.imag.sum()


class Spectrum(nn.Module):
    """Complex numbers on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.filter, self.out = nn.Parameter(torch.randn(3)), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.fft.irfft(torch.fft.rfft(x) * self.filter, n=4))


def normalized(layer: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(4, 6), layer(), nn.ReLU(), nn.Linear(6, 1))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lift, self.out = nn.Linear(1, 8), nn.Linear(8, 1)
        self.mixer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.mixer(self.lift(x[..., None])).mean(1))


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lift, self.out = nn.Linear(1, 4), nn.Linear(4, 1)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h, hidden = self.lift(x[..., None]), torch.ones(4, 4, dtype=torch.bool).triu(1)
        return self.out(self.attention(h, h, h, attn_mask=hidden, need_weights=False)[0].mean(1))


class Gated(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.cell, self.out = kind(1, 3, batch_first=True), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(x[..., None])[0][:, -1])


def lazy() -> nn.Module:
    model = nn.Sequential(nn.LazyLinear(5), nn.Tanh(), nn.LazyLinear(1))
    model(torch.zeros(1, 4))
    return model


def pruned() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    return model


def parametrized(way: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(way(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 1))


class Positive(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x)


def of_ones_own(layer: nn.Module) -> nn.Module:
    nn.utils.parametrize.register_parametrization(layer, "weight", Positive())
    return layer


def data_parallel() -> nn.Module:
    return nn.DataParallel(nn.Linear(4, 1))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "weights tied by their data": TiedByData,
    "weights tied properly": TiedProperly,
    "weights tied by loading": TiedByLoading,
    "a weight used turned": TiedTurned,
    "parameters of two dtypes": Mixed,
    "parameters with gaps in memory": Strided,
    "parameters side by side in one memory": Flat,
    "empty, scalar and unused parameters": Empty,
    "empty, boolean and complex buffers": EmptyBuffer,
    "complex numbers in between": Spectrum,
    "batch norm over all batches": normalized(lambda: nn.BatchNorm1d(6, momentum=None)),
    "batch norm without statistics": normalized(lambda: nn.BatchNorm1d(6, track_running_stats=False)),
    "batch norm without weights": normalized(lambda: nn.BatchNorm1d(6, affine=False)),
    "layer norm": normalized(lambda: nn.LayerNorm(6)),
    "group norm": normalized(lambda: nn.GroupNorm(2, 6)),
    "rms norm": normalized(lambda: nn.RMSNorm(6)),
    "a layer of a transformer": Attention,
    "attention with a mask": Masked,
    "an LSTM": lambda: Gated(nn.LSTM),
    "a GRU": lambda: Gated(nn.GRU),
    "lazy layers that were called": lazy,
    "half of the weights pruned": pruned,
    "weight norm": parametrized(parametrizations.weight_norm),
    "orthogonal weights": parametrized(parametrizations.orthogonal),
    "spectral norm": parametrized(parametrizations.spectral_norm),
    "a parametrization of one's own": parametrized(of_ones_own),
    "data parallel": data_parallel,
}
OWN = {
    "weights tied by their data",
    "weights tied by loading",
    "parameters of two dtypes",
    "half of the weights pruned",
    "parameters with gaps in memory",
    "parameters side by side in one memory",
    "empty, boolean and complex buffers",
}
