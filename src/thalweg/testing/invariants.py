"""Behavioral checks of a rule: pure, elementwise, independent rows, resumable, still at zero gradient, strict."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.recipes.trace import trace
from thalweg.rules.hyperparameters import Hyperparameter
from thalweg.testing.settings import Case, oracle_arguments
from thalweg.testing.trajectories import EXECUTIONS, Run, advance, begin, called, problem

SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (7,), (2, 3, 4))
OF_MATRICES: tuple[tuple[int, ...], ...] = ((1, 1), (3, 7), (7, 3), (5, 5))
DECAYING = 40  # steps with a zero gradient
CONSTANT = 60  # steps with a constant gradient: enough for averages with decay 0.5 to converge
DTYPES = (torch.float32, torch.float64)


def check_pure(case: Case) -> None:
    """The rule modifies none of its input tensors, and returns the same outputs for the same inputs."""
    run, g = _after(case, steps=3), torch.tensor(problem(case.rate, shape=case.shape, seed=4).gradients[0])
    before = run.copy()
    outputs = [_called(run, gradient) for gradient in (g, g.clone())]
    assert before.same(run), f"{case}: the rule modifies its parameter or a state in place."
    assert torch.equal(g, torch.tensor(problem(case.rate, shape=case.shape, seed=4).gradients[0])), (
        f"{case}: the gradient is modified."
    )
    for name, first in outputs[0].items():
        same = torch.equal(torch.as_tensor(first), torch.as_tensor(outputs[1][name]))
        assert same, f"{case}: the new {name} differs when the rule is called again; it may not remember anything."


def check_shapes(case: Case) -> None:
    """Outputs have the shape and dtype of the parameter, and an element's step does not depend on the others."""
    for dtype in DTYPES:
        for shape in OF_MATRICES if trace(case.recipe.structure(case.values)).transients else SHAPES:
            run, g = _after(case, steps=2, shape=shape, dtype=dtype), _normal(shape, dtype)
            for name, new in _called(run, g).items():
                if isinstance(new, Tensor) and name not in trace(run.structure).matrix_states:
                    what = f"{case}: the new {name} of a {dtype} parameter of shape {shape}"
                    assert new.shape == shape, f"{what} has shape {tuple(new.shape)}."
                    promoted = shape == () and trace(run.structure).before  # a norm is float64, and 0-d too
                    assert new.dtype == dtype or promoted, f"{what} has {new.dtype}; two numbers in `where` give it."
            _check_elementwise(case, run, g)


def check_rows(case: Case) -> None:
    """Rows with different hyperparameters, stepped in one call, equal the same rows stepped one by one, bitwise.

    Without a global norm, which rows of one call share.
    """
    case = replace(case, values={**case.values, "clip_global_norm": 0.0})
    together = [_after(case, steps=2, scale=scale) for scale in (1.0, 0.3, 0.7, 0.1)]
    alone = [run.copy() for run in together]
    gradients = torch.tensor(problem(case.rate, shape=case.shape, seed=5, steps=4).gradients)
    for name in ("reference", "compiled"):
        advance(EXECUTIONS[name], together, list(gradients))
        for i, run in enumerate(alone):
            advance(EXECUTIONS[name], [run], [gradients[i]])
            assert run.same(together[i]), f"{case}: row {i} differs when others are stepped beside it ({name})."


def check_resume(case: Case) -> None:
    """A run copied into fresh tensors at a random step continues bitwise equal."""
    gradients = torch.tensor(problem(case.rate, shape=case.shape, seed=6, steps=20).gradients)
    split = int(np.random.default_rng(list(str(case).encode())).integers(1, 20))
    for name in ("reference", "compiled"):
        whole = _after(case, steps=0)
        for g in gradients[:split]:
            advance(EXECUTIONS[name], [whole], [g])
        restored = whole.copy()
        for run in (whole, restored):
            for g in gradients[split:]:
                advance(EXECUTIONS[name], [run], [g])
        assert whole.same(restored), f"{case}: saved and restored after step {split}, it goes on differently ({name})."


def check_zero_gradient(case: Case) -> None:
    """With zero gradients from the start only weight decay moves the parameter; after other steps all stays finite.

    A rule with `stationary=False` moves as its oracle does at zero gradients.
    """
    for dtype in DTYPES:
        for name in ("reference", "compiled"):
            fresh, moved = (_after(case, steps=n, dtype=dtype) for n in (0, 5))
            start = fresh.copy()
            for done in range(1, DECAYING + 1):
                for run in (fresh, moved):
                    _step_without_gradient(case, run, name)
                expected = _rested(case, start, done)
                # half an ulp each: two per step, or eight for a rule that computes a move of its own
                roundings = done if case.recipe.rule.stationary else 4 * done
                if expected is not None:
                    _assert_close(fresh.p, expected, f"{case}: zero gradients move it ({name}, {dtype}).", roundings)


def check_constant_gradient(case: Case) -> None:
    """A constant gradient keeps all values finite, though rounding may turn a difference of 0 negative."""
    for dtype in DTYPES:
        for name in ("reference", "compiled"):
            run = _after(case, steps=0, dtype=dtype)
            for _ in range(CONSTANT):
                advance(EXECUTIONS[name], [run], [_normal(case.shape, dtype)])
            finite = all(torch.isfinite(x).all() for x in (run.p, *run.states, *run.matrices))
            assert finite, f"{case}: a constant gradient gives NaN or infinity in {dtype} ({name})."


def check_refusals(case: Case) -> None:
    """Every hyperparameter rejects NaN, values out of range and other types, naming itself, range and value."""
    for h in case.recipe.hyperparameters.values():
        for value in _unacceptable(h):
            _check_refused(case, h, value)


def _after(
    case: Case,
    *,
    steps: int,
    shape: tuple[int, ...] | None = None,
    dtype: torch.dtype = torch.float64,
    scale: float = 1.0,
) -> Run:
    """A run after `steps` reference steps. `scale` multiplies its hyperparameters where their ranges allow it."""
    declared, shape = case.recipe.hyperparameters.values(), case.shape if shape is None else shape
    scaled = {
        h.name: case.values[h.name] * scale for h in declared if h.range and case.values[h.name] * scale in h.range
    }
    run = begin(case.recipe, {**case.values, **scaled}, _normal(shape, dtype))
    for seed in range(steps):
        advance(EXECUTIONS["reference"], [run], [_normal(shape, dtype, seed + 1)])
    return run


def _normal(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=dtype)


def _called(run: Run, g: Tensor) -> dict[str, Any]:
    """The outputs of one direct call of the composed step on tensors, by name."""
    scalars = run.scalars()
    program = trace(run.structure)
    states: dict[str, Any] = {s.name: scalars.get(s.name, 0.0) for s in run.structure.states}
    states.update(zip(program.states, run.states, strict=True))
    states.update(zip(program.matrix_states, run.matrices, strict=True))
    p, after = called(run.structure, g, run.p, states, scalars)
    return {"parameter": p} | {
        name: after[name] for name in (*program.states, *program.matrix_states, *program.row_states)
    }


def _check_elementwise(case: Case, run: Run, g: Tensor) -> None:
    """Asserts that the last element's step does not depend on the others, unless the rule has reductions."""
    if trace(run.structure).before:
        return
    whole = run.copy()
    advance(EXECUTIONS["compiled"], [whole], [g])
    if g.numel():
        states = tuple(s.reshape(-1)[-1:].clone() for s in run.states)
        last = Run(run.structure, run.values, run.p.reshape(-1)[-1:].clone(), states, run.row_states, run.t)
        advance(EXECUTIONS["reference"], [last], [g.reshape(-1)[-1:]])
        message = f"{case}: an element of shape {tuple(g.shape)} differs from the same element alone."
        _assert_close(whole.p.reshape(-1)[-1:], last.p, message, 50)


def _assert_close(actual: Tensor, expected: Tensor, message: str, roundings: int) -> None:
    """Asserts equality up to `roundings` ulps of a number near 1, the magnitude of the parameters here."""
    tolerance = roundings * torch.finfo(expected.dtype).eps
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance, msg=message)


def _step_without_gradient(case: Case, run: Run, name: str) -> None:
    advance(EXECUTIONS[name], [run], [torch.zeros_like(run.p)])
    finite = all(torch.isfinite(x).all() for x in (run.p, *run.states, *run.matrices))
    assert finite, f"{case}: zero gradients give NaN or infinity in {run.p.dtype} ({name})."


def _rested(case: Case, start: Run, steps: int) -> Tensor | None:
    """The expected parameter after `steps` zero gradients, by theory or the oracle; `None` if neither predicts it.

    Theory predicts none with coupled decay, which is a gradient, with a penalty of the rule's own, nor, after the
    first step, with decoupled decay in a rule that averages past parameters and so moves back to them.
    """
    if any(h.is_penalty and case.values[h.name] for h in case.recipe.rule.hyperparameters.values()):
        return None
    if not case.recipe.rule.stationary:
        return _moved(case, start)[steps - 1] if case.oracle else None
    decay = float(case.values["weight_decay"])
    if not decay:
        return start.p.clone()  # the decay below: two roundings per step, half an ulp each
    known = case.values["decoupled_weight_decay"] and (steps == 1 or not _reads_parameter(start))
    return start.p * (1 - case.rate * decay) ** steps if known else None


def _reads_parameter(run: Run) -> bool:
    """Whether the rule itself reads the parameter: the composed step alone reads it once, to subtract the update."""
    undecayed = replace(run.structure, absent=run.structure.absent | {"weight_decay"})
    return sum(instruction.arguments.count("p") for instruction in trace(undecayed).update.body) > 1


def _moved(case: Case, start: Run) -> Tensor:
    """The oracle's parameters after each of `DECAYING` steps with zero gradients, `[DECAYING, n]`."""
    assert case.oracle is not None
    gradients, rates = np.zeros((DECAYING, *start.p.shape)), np.full(DECAYING, case.rate)
    path = case.oracle(start.p.double().numpy(), gradients, rates, **oracle_arguments(case))
    return torch.tensor(path).to(start.p)


def _unacceptable(h: Hyperparameter) -> list[Any]:
    if h.range is None:
        return [0.5, 1, "yes", None]
    if h.range.whole:
        return [0.5, -1, math.nan, math.inf, "5", True]
    low, high = h.range.low, h.range.high
    outside = low if h.range.open_low else low - 1e-3, high if h.range.open_high else high * 1.001
    return [math.nan, -math.inf, math.inf, *outside, "0.5", True]


def _check_refused(case: Case, h: Hyperparameter, value: Any) -> None:
    refusal = _refusal(case, {**case.values, h.name: value})
    assert refusal, f"{case}: {h.name}={value!r} is accepted."
    wanted = (h.name, repr(value), "True or False" if h.range is None else str(h.range))
    missing = [text for text in wanted if text not in refusal]
    assert not missing, f"{case}: {h.name}={value!r} is refused without naming {' and '.join(missing)}: {refusal}"


def _refusal(case: Case, given: dict[str, Any]) -> str:
    try:
        case.recipe.resolve(given)
    except InputError as refusal:
        return str(refusal)
    return ""
