"""Products in another form are the same products, and gradients left to be made are the same gradients."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from problems import points, refused, tiny, train_all
from thalweg.population.program import matmul_passes
from thalweg.population.program.gradients import GradientProgram, whole
from thalweg.population.program.models import build, stack
from thalweg.population.training.verification import first_batches
from thalweg.population.updates import member_rows, parts
from thalweg.population.updates.members import Member
from thalweg.recipes.catalogue import recipe
from thalweg.workloads.workload import Workload

DOUBLE, CPU = torch.float64, torch.device("cpu")


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(sum(shape)))


def test_shared_and_turned_products() -> None:
    x, each = drawn(5, 7), drawn(3, 7, 4)
    for matrices in (each, each.transpose(1, 2).contiguous().transpose(1, 2)):
        made = matmul_passes.shared(x, matrices)
        torch.testing.assert_close(made, x @ matrices, rtol=1e-14, atol=1e-14)
        assert made.transpose(1, 2).is_contiguous()
    turned = matmul_passes.turned(drawn(3, 5, 7), each)
    torch.testing.assert_close(turned, drawn(3, 5, 7) @ each, rtol=1e-14, atol=1e-14)
    assert turned.transpose(1, 2).is_contiguous()


class Wide(nn.Module):
    """Layers of which the first and the middle have gradients worth leaving to be made."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.act = act
        self.first, self.middle, self.last = (nn.Linear(a, b, dtype=DOUBLE) for a, b in ((6, 40), (40, 30), (30, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.act(self.middle(self.act(self.first(x)))))


@cache
def wide(act: Callable[[Tensor], Tensor] = torch.relu) -> Workload:
    """Only for tests where `small_is_large`: it is traced once."""
    return tiny(DOUBLE, model=lambda: Wide(act), train=points(100, 1, DOUBLE), epochs=2)


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul_passes, "LARGE", 100)


@pytest.mark.parametrize("act", [torch.relu, torch.tanh, nn.functional.gelu, torch.sigmoid, lambda x: x * x])
@pytest.mark.usefixtures("small_is_large")
def test_gradients_of_stacks_are_those_of_autograd(act: Callable[[Tensor], Tensor]) -> None:
    workload = wide(act)
    model = build(workload, 0, CPU)
    names = {name for name, _ in model.named_parameters()}
    batch = first_batches(workload, 1)[0]
    program = GradientProgram(workload, model, shared=True)
    with torch.no_grad():
        program(stack({0: model}, [0] * 2, names), batch, [0] * 2, 1)  # finds out which weights meet the batch
        assert program.output_major == {"first.weight"}
        held = stack({0: model}, [0] * 3, names, program.output_major)
        for m in range(3):
            for p in held.parameters.values():
                p[m] *= 1 + 0.1 * m
        made, losses, _ = program(held, batch, [0] * 3, 1)
    assert {n for n, g in made.items() if isinstance(g, matmul_passes.Product)} == {"first.weight", "middle.weight"}
    for m in range(3):
        for name, p in model.named_parameters():
            p.data = held.parameters[name][m]
        loss = workload.loss(model(*batch[0]), batch[1])
        expected = torch.autograd.grad(loss, list(model.parameters()))
        torch.testing.assert_close(losses[m], loss.detach(), rtol=1e-12, atol=0)
        for (name, _), g in zip(model.named_parameters(), expected, strict=True):
            torch.testing.assert_close(whole(made, held.parameters)[name][m], g, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seeds", [1, 3], ids=["one batch for all", "a batch each"])
@pytest.mark.parametrize("piece", [1, 2500, 1 << 20], ids=["one by one", "some", "all at once"])
@pytest.mark.usefixtures("small_is_large")
def test_a_population_with_gradients_made_in_pieces_is_the_loop(
    piece: int, seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PIECE", piece)
    chosen = [Member(recipe(n), recipe(n).resolve({"lr": 0.01 * (k + 1)}), s) for s in range(seeds) for n in
              ("adam", "sgd", "nadam") for k in range(2)]  # fmt: skip
    made = train_all(wide(), chosen, execution="population", keep_weights=True)
    alone = train_all(wide(), chosen, execution="loop", keep_weights=True)
    for a, b in zip(made, alone, strict=True):
        assert a.weights.keys() == b.weights.keys()
        for name in a.weights:
            torch.testing.assert_close(a.weights[name], b.weights[name], rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("small_is_large")
def test_whatever_needs_whole_gradients_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clipping by the norm of all, and execution in torch's operators."""

    def members(clip: float) -> list[Member]:
        of = recipe("adam")
        return [Member(of, of.resolve({"lr": 0.01 * (k + 1), "clip_global_norm": clip}), 0) for k in range(3)]

    alone = train_all(wide(), members(0.1), execution="loop", keep_weights=True)
    clipped = train_all(wide(), members(0.1), execution="population", keep_weights=True)
    monkeypatch.setattr(member_rows.dispatch, "obstacle", refused)
    stacked = train_all(wide(), members(0.1), execution="population", keep_weights=True)
    plain = train_all(wide(), members(0.0), execution="population", keep_weights=True)
    for a, b, c in zip(alone, clipped, stacked, strict=True):
        for name in a.weights:
            torch.testing.assert_close(b.weights[name], a.weights[name], rtol=1e-9, atol=1e-11)
            torch.testing.assert_close(c.weights[name], a.weights[name], rtol=1e-9, atol=1e-11)
    assert not torch.equal(plain[0].weights["first.weight"], alone[0].weights["first.weight"])
