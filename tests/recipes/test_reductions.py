"""Reductions in a rule: where the tracer cuts, and that every execution measures whole tensors, in one order only."""

import math

import numpy as np
import pytest
import torch

from small_rules import recipe_of
from thalweg.execution import compiled, driver
from thalweg.execution.elements import Elements
from thalweg.numerics import absolute, global_norm, mean, norm
from thalweg.recipes.catalogue import recipe
from thalweg.recipes.trace import trace
from thalweg.rules.hyperparameters import Rate
from thalweg.rules.states import RowSum, Zeros
from thalweg.testing.trajectories import EXECUTIONS, advance, begin

SIZES = (0, 1, 7, 8, 255, 256, 257, 4096, 32_767, 32_768, 32_769, 70_000)
every_execution = pytest.mark.parametrize("execution", EXECUTIONS)


def stages(function, **given):
    of = recipe_of(function)
    return [[r.op for r in stage.reductions] for stage in trace(of.structure(of.resolve(given))).before]


def test_a_rule_without_reductions_has_one_stage():
    def r(g, p, t, *, lr: Rate = 0.1):
        return (lr * g,)

    assert stages(r) == []


def test_reductions_that_need_nothing_are_measured_in_one_pass():
    def r(g, p, t, *, lr: Rate = 0.1):
        return (lr * norm(p) / norm(g) * g,)

    assert sorted(stages(r)[0]) == ["norm", "norm"]
    assert len(stages(r)) == 1


def test_a_reduction_of_a_reduction_is_measured_after_it():
    def r(g, p, t, *, lr: Rate = 0.1):
        direction = g / norm(g) + mean(p)
        return (lr * direction / norm(direction),)

    assert [len(stage) for stage in stages(r)] == [2, 1]


def test_what_a_global_norm_may_not_depend_on():
    def r(g, p, t, *, lr: Rate = 0.1):
        return (lr * g / global_norm(g / norm(g), "gradient"),)

    with pytest.raises(TypeError, match="A global norm in r may not depend on another reduction"):
        stages(r)


def test_a_row_value_is_not_reduced():
    def r(g, p, t, *, lr: Rate = 0.1):
        return (norm(lr) * g,)

    with pytest.raises(TypeError, match="norm reduces values with elements"):
        stages(r)


def test_options_share_a_pass_where_they_can():
    adam = recipe("adam")
    every = {"clip_global_norm": 1.0, "clip_tensor_norm": 1.0, "cautious": True}
    program = trace(adam.structure(adam.resolve(every)))
    assert [{r.op for r in stage.reductions} for stage in program.before] == [{"global_norm", "norm"}, {"mean"}]
    assert program.shared == {"gradient"}
    assert program.per_tensor
    assert not trace(adam.structure(adam.resolve({"clip_global_norm": 1.0}))).per_tensor


@every_execution
@pytest.mark.parametrize("shape", [(), (1,), (5, 7), (3, 0)], ids=str)
def test_values(execution, shape):
    """Norms and means of a gradient, a state and what is computed of them, kept in row states."""

    def r(g, p, seen: Zeros, size: RowSum, share: RowSum, t, *, lr: Rate = 0.5):
        seen = seen + g
        return lr * seen / (1 + norm(seen)), seen, size + norm(3 * g), share + mean(absolute(p) + norm(g))

    of, random = recipe_of(r), np.random.default_rng(3)
    p, seen, size, share = random.standard_normal(shape), np.zeros(shape), 0.0, 0.0
    run = begin(of, of.resolve({}), torch.tensor(p))
    for _ in range(3):
        g = random.standard_normal(shape)
        advance(EXECUTIONS[execution], [run], [torch.tensor(g)])
        length = math.sqrt(float((g**2).sum()))
        size, share = size + 3 * length, share + (float((abs(p) + length).mean()) if g.size else 0.0)
        seen = seen + g
        p = p - 0.5 * seen / (1 + math.sqrt(float((seen**2).sum())))
        np.testing.assert_allclose(run.p.numpy(), p, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose([run.row_states["size"], run.row_states["share"]], [size, share], rtol=1e-13)


def rows_of(sizes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    made = [[torch.randn(n, generator=generator).to(dtype) for _ in range(4)] for n in sizes]
    return [Elements(g, p, (m, v.abs())) for g, p, m, v in made]


def measured(rows, **given):
    adam = recipe("adam")
    values = adam.resolve({"clip_tensor_norm": 1.0, "cautious": True, **given})
    structure = adam.structure(values)
    numbers = {name: float(v) for name, v in values.items() if not isinstance(v, bool)}
    program, made = trace(structure), compiled.CompiledElements(structure, rows)
    first = driver.prepare(program.before[0], made, {**numbers, "t": 3.0})
    return first, driver.prepare(program.before[1], made, {**numbers, "t": 3.0, **first})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_a_norm_of_every_size(dtype):
    rows = rows_of(SIZES, dtype)
    (found,) = measured(rows)[0].values()
    expected = [math.sqrt(math.fsum(x * x for x in row.g.double().tolist())) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_row_is_measured_alike_whatever_is_beside_it_and_however_many_threads_there_are():
    rows, threads = rows_of(SIZES), torch.get_num_threads()
    together = [np.concatenate([*stage.values()]) for stage in measured(rows)]
    back = [np.concatenate([*stage.values()])[::-1] for stage in measured(rows[::-1])]
    torch.set_num_threads(1)
    try:
        alone = [np.concatenate([np.concatenate([*measured([row])[i].values()]) for row in rows]) for i in (0, 1)]
    finally:
        torch.set_num_threads(threads)
    for i in (0, 1):
        assert together[i].tolist() == back[i].tolist() == alone[i].tolist()


def test_squares_beyond_float32():
    """A gradient of 1e30 has a norm, though its square is infinite in float32; so has one of 1e-30."""
    for size in (1e30, 1e-30):
        row = Elements(torch.full((1000,), size), torch.zeros(1000), (torch.zeros(1000), torch.ones(1000)))
        (found,) = measured([row])[0].values()
        np.testing.assert_allclose(found, float(torch.tensor(size)) * math.sqrt(1000), rtol=1e-14)
