"""The parameters of a model in the plain loop, even if its own code replaces their `.data`."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from thalweg.execution.overlap import Stretches, bounds, stretch_of
from thalweg.population.training.autograd import Evaluated


class LiveParameters:
    """A model's floating-point parameters, including those that require no gradient yet.

    stacked: each as `[1, …]`, the memory that updates write: the parameter's own until the model's code replaces it.
    """

    def __init__(self, model: nn.Module) -> None:
        self._given = {name: p for name, p in model.named_parameters() if p.is_floating_point()}
        self._trained = {name for name, p in self._given.items() if p.requires_grad}
        self.stacked = {name: p.detach()[None] for name, p in self._given.items()}

    def chosen(self, evaluated: Evaluated) -> dict[str, Tensor]:
        """The gradients `[1, …]` of the original parameters: an optimizer knows no others."""
        given, now = self._given, evaluated.parameters
        return {n: g[None] for n, g in evaluated.gradients.items() if n in given and now[n] is given[n]}

    def require_known(self, gradients: Iterable[str]) -> None:
        """Raises `RuntimeError` if a parameter has a gradient but required none when the optimizer was created."""
        later = next((name for name in gradients if name not in self._trained), None)
        if later:
            raise RuntimeError(
                f"the parameter {later!r} required no gradient when the optimizer was made, and has one now"
            )

    def fetch(self) -> dict[str, nn.Parameter]:
        """Copies parameters whose `.data` the model's code replaced into `stacked`; returns them by name."""
        moved = {name: p for name, p in self._given.items() if not _is_at(p, self.stacked[name])}
        for name, p in moved.items():
            if p.shape != self.stacked[name].shape[1:]:
                raise RuntimeError(
                    f"the model's code replaces the parameter {name!r}, {[*self.stacked[name].shape[1:]]}, by one of"
                    f" shape {[*p.shape]}"
                )
            self.stacked[name].copy_(p.detach()[None])
        return moved

    def put(self, moved: Mapping[str, nn.Parameter]) -> None:
        """Copies the values after a step back into the parameters that `fetch` returned."""
        for name, p in moved.items():
            p.detach().copy_(self.stacked[name][0])


def share_memory(model: nn.Module) -> bool:
    """Whether a parameter overlaps another or a buffer in memory: weights tied by `.data`."""
    parameters = Stretches(map(stretch_of, model.parameters()))
    buffers = bounds([*map(stretch_of, model.buffers())])
    return parameters.met or bool(parameters.meet(*buffers).any())


def _is_at(p: Tensor, stacked: Tensor) -> bool:
    return p.data_ptr() == stacked.data_ptr() and p.shape == stacked.shape[1:] and p.stride() == stacked.stride()[1:]
