"""The zeros of each layer of a model."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class LayerSparsity:
    """One parameter: its name, shape, and how many of its numbers are zero."""

    name: str
    shape: tuple[int, ...]
    weights: int
    zeros: int

    @property
    def sparsity(self) -> float:
        return self.zeros / self.weights if self.weights else 0.0


@dataclass(frozen=True)
class SparsityReport:
    """All parameters of a model, in its order."""

    layers: tuple[LayerSparsity, ...]

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def zeros(self) -> int:
        return sum(layer.zeros for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """The share of all parameters that are zero, biases and norms too."""
        return self.zeros / self.weights if self.weights else 0.0

    def __str__(self) -> str:
        rows = [(of.name, " × ".join(map(str, of.shape)), of) for of in self.layers]
        name = max(len("Parameter"), *(len(row[0]) for row in rows))
        shape = max(len("Shape"), *(len(row[1]) for row in rows))
        lines = [f"{'Parameter':<{name}}  {'Shape':<{shape}}  {'Weights':>11}  {'Zeros':>11}  Sparsity"]
        lines += [
            f"{first:<{name}}  {second:<{shape}}  {of.weights:>11,}  {of.zeros:>11,}  {of.sparsity:>8.2%}"
            for first, second, of in rows
        ]
        all_of = f"{self.weights:>11,}  {self.zeros:>11,}  {self.sparsity:>8.2%}"
        return "\n".join([*lines, f"{'All':<{name}}  {'':<{shape}}  {all_of}"])


def report(model: nn.Module) -> SparsityReport:
    """Counts the zeros of every parameter of a model."""
    return SparsityReport(
        tuple(
            LayerSparsity(name, tuple(p.shape), p.numel(), int((p.detach() == 0).sum()))
            for name, p in model.named_parameters()
        )
    )
