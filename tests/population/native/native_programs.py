"""What a native program makes of a model, beside what autograd does."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.population.native.program import NativeProgram
from thalweg.population.program.models import build, stack
from thalweg.population.program.randomness import SeededRandomness
from thalweg.workloads.source import Batch
from thalweg.workloads.workload import Workload

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}  # relative to the largest element
Made = tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]


class Formula(nn.Module):
    """A function of a parameter `[5, 6]` and the inputs."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self.w, self.function = nn.Parameter(torch.randn(5, 6, dtype=dtype)), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.w, x)


def workload(model: Callable[[], nn.Module], x: Tensor, y: Tensor, loss: Any = None) -> Workload:
    return Workload(
        name="native", model=model, loss=loss or weighted, train=(x, y), validation=(x, y), batch_size=len(x), steps=2
    )


def weighted(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss that depends on every element in its own way."""
    weights = torch.linspace(0.3, 1.7, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)
    return (outputs * weights).sum() / outputs.numel()


def natively(of: Workload, members: int = 2, library: str = "scipy") -> tuple[Made, NativeProgram]:
    """Gradients, losses and buffers of members of the seeds 0, 1, … on the first batch."""
    models = {seed: build(of, seed, torch.device("cpu")) for seed in range(members)}
    trained = {name for name, p in models[0].named_parameters() if p.requires_grad}
    program = NativeProgram(of, models[0], shared=True, library=library)
    made = program(stack(models, list(models), trained), of.train.first([of.batch_size])[0], list(models), 1)
    return made, program  # type: ignore[return-value]


def by_autograd(of: Workload, seed: int) -> Made:
    model, batch = build(of, seed, torch.device("cpu")), of.train.first([of.batch_size])[0]
    with SeededRandomness(seed, 1):
        loss = of.objective.loss(model, Batch(*batch))
    loss.backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return gradients, loss.detach(), dict(model.named_buffers())


def require_equal(of: Workload, tolerance: float | None = None, library: str = "scipy") -> NativeProgram:
    """Both members equal autograd in loss, gradients and new buffers."""
    (gradients, losses, buffers), program = natively(of, library=library)
    for seed in range(2):
        expected, loss, after = by_autograd(of, seed)
        assert expected, "nothing is compared"
        pairs = [(losses[seed], loss), *((gradients[n][seed], g) for n, g in expected.items())]
        pairs += [(buffers[n][seed], b) for n, b in after.items()]
        least = 0.1 * max(float(g.abs().max()) for g in expected.values())  # a bias before batch norm has none
        for ours, theirs in pairs:
            allowed = TOLERANCE.get(theirs.dtype, 0.0) if tolerance is None else tolerance
            scale = max(least, float(theirs.abs().max()))
            torch.testing.assert_close(ours, theirs, rtol=0, atol=allowed * scale, equal_nan=True)
    return program
