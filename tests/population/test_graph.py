"""A cleaned graph computes what it computed before, and writes over nothing that somebody still needs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, ops
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from thalweg.population.program import matmul_passes
from thalweg.population.program.graph_passes import clean, finish, measure, writes

Program = Callable[..., Any]


def traced(program: Program, *inputs: Tensor) -> GraphModule:
    return make_fx(program, tracing_mode="fake")(*inputs)


def cleaned(program: Program, *inputs: Tensor) -> GraphModule:
    """As a population has it: cleaned, products rearranged, finished."""
    module = clean(traced(program, *inputs))
    if not writes(module):
        matmul_passes.share(module)
        measure(module, inputs)
        matmul_passes.turn(module)
        measure(module, inputs)
    finish(module)
    return module


def inputs() -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    return tuple(torch.randn(3, 4, 4, generator=draw) for _ in range(3))


def calls(module: GraphModule, *targets: Any) -> int:
    return sum(node.target in targets for node in module.graph.nodes)


def biased(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return torch.relu(torch.add(b, torch.bmm(x, w)))


def read_twice(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    product = torch.bmm(x, w)
    return torch.add(b, product), product * 2


def input_last(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return torch.relu(torch.add(torch.bmm(x, w)[0], b))


def repeats(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return torch.bmm(x, w) * b + torch.bmm(x, w).transpose(1, 2).transpose(1, 2)


def constants(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return x * torch.arange(4) + torch.zeros_like(w) + torch.ones(4)


def writing(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    total = torch.bmm(x, w)
    before = total.sum()
    total.add_(b)
    return before + total.sum()


def unused(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    torch.bmm(w, b)
    return x + 1


@pytest.mark.parametrize("program", [biased, read_twice, input_last, repeats, constants, writing, unused])
def test_the_same_results_from_inputs_left_alone_at_every_call(program: Program) -> None:
    given, kept = inputs(), inputs()
    expected = program(*kept)
    module = cleaned(program, *given)
    for _ in range(2):
        torch.testing.assert_close(module(*given), expected, rtol=0, atol=0)
        torch.testing.assert_close(given, inputs(), rtol=0, atol=0)


def test_a_spent_product_is_written_over() -> None:
    module = cleaned(biased, *inputs())
    assert calls(module, Tensor.add_, torch.relu_) == 2
    assert calls(module, torch.add, torch.relu) == 0


def test_a_product_that_is_still_read_is_not() -> None:
    assert calls(cleaned(read_twice, *inputs()), Tensor.add_) == 0


def test_repeats_are_computed_once() -> None:
    assert calls(cleaned(repeats, *inputs()), torch.bmm) == 1


def test_constants_are_computed_before_the_first_call() -> None:
    module = cleaned(constants, *inputs())
    assert calls(module, ops.aten.arange.default, ops.aten.zeros_like.default, ops.aten.ones.default) == 0


def test_where_something_is_written_equal_sums_stay_two() -> None:
    assert calls(cleaned(writing, *inputs()), torch.sum, ops.aten.sum.default) == 2


def test_what_nobody_uses_is_not_computed() -> None:
    assert calls(cleaned(unused, *inputs()), torch.bmm) == 0


def test_random_numbers_are_drawn_each_time() -> None:
    module = cleaned(lambda x: torch.rand_like(x) - torch.rand_like(x), torch.ones(100))
    assert module(torch.ones(100)).abs().sum() > 0
