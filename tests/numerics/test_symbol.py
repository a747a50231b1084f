"""Symbols: no branch on a value, and the forms in which an expression reaches the loop."""

import itertools

import pytest

from small_rules import recipe_of
from thalweg.numerics import absolute, clip, maximum, round_to_default_dtype, sign, sqrt, where
from thalweg.numerics.symbol import Symbol, element, lift, row
from thalweg.recipes.catalogue import recipes
from thalweg.recipes.trace import trace
from thalweg.rules.hyperparameters import Decay, Rate
from thalweg.testing import cases

PROGRAMS = [
    (str(case), trace(case.recipe.structure(case.values)).update) for r in recipes().values() for case in cases(r)
]
every_program = pytest.mark.parametrize("program", [p for _, p in PROGRAMS], ids=[name for name, _ in PROGRAMS])


def body_of(formula):
    """The instructions of p - formula(g, p, lr, beta), as (op, arguments)."""

    def r(g, p, t, *, lr: Rate = 1e-2, beta: Decay = 0.9):
        return (formula(g, p, lr, beta),)

    recipe = recipe_of(r)
    program = trace(recipe.structure(recipe.resolve({}))).update
    return [(i.op, i.arguments) for i in program.body], program.columns


@pytest.mark.parametrize(
    "branch",
    [
        lambda g, p: 1.0 if g > 0 else p,
        lambda g, p: g and p,
        lambda g, p: not g,
        lambda g, p: max(g, p),
        lambda g, p: min(0.0, g),
        lambda g, p: 0 < g < 1,
        lambda g, p: g in [p],
    ],
)
def test_a_branch_on_a_value_is_refused(branch):
    with pytest.raises(TypeError, match="may not branch on a value: use maximum, clip or where, or declare a Flag"):
        branch(element("g"), element("p"))


@pytest.mark.parametrize("convert", [float, int, list, lambda x: {x: 1}, lambda x: range(x)])
def test_a_symbol_is_no_number_and_no_key(convert):
    with pytest.raises(TypeError):
        convert(element("g"))


def test_an_expression_of_rows_is_a_row():
    lr, g = row("lr"), element("g")
    for symbol in (
        lr + 1,
        2 - lr,
        lr**2,
        0.9**lr,
        1 / lr,
        -lr,
        abs(lr),
        sqrt(lr),
        where(lr > 1, lr, 0.0),
        round_to_default_dtype(lr),
    ):
        assert symbol.row
    for symbol in (lr + g, g - 1, 2 * g, g**2, lr / g, g / lr, absolute(g), sign(g), maximum(lr, g), clip(lr, 0.0, g)):
        assert not symbol.row


def test_one_expression_has_one_key():
    a, b = element("g") * row("lr") + 1, element("g") * row("lr") + 1
    assert a.key == b.key
    different = [element("g"), row("g"), element("p"), lift(1.0), lift(0.0), lift(-0.0), a, a + 1, 1 - a, a - 1, -a]
    assert all(x.key != y.key for x, y in itertools.combinations(different, 2))


def test_literals_are_rows():
    assert lift(2).row
    assert lift(2).key == lift(2.0).key
    assert lift(a := Symbol("row", name="lr", row=True)) is a


def test_row_factors_are_gathered():
    body, columns = body_of(lambda g, p, lr, beta: 2 * (lr * ((beta * g) * 3)))
    assert body == [("mul", ("_k0", "g")), ("sub", ("p", "_x0"))]
    assert len(columns) == 1


def test_division_by_a_row_is_multiplication():
    body, _ = body_of(lambda g, p, lr, beta: lr * (g / (1 - beta)) / lr)
    assert body == [("mul", ("_k0", "g")), ("sub", ("p", "_x0"))]


def test_a_common_expression_is_computed_once():
    body, columns = body_of(lambda g, p, lr, beta: g * g / (sqrt(g * g) + lr * beta) + lr * beta)
    assert [op for op, _ in body] == ["mul", "sqrt", "add", "div", "add", "sub"]
    assert len(columns) == 1


@every_program
def test_no_literal_in_the_body(program):
    targets = {i.target for i in program.body}
    columns = {f"_k{j}" for j in range(len(program.columns))}
    for instruction in program.body:
        assert set(instruction.arguments) <= targets | columns | {"g", "p", *program.states}
    assert set(program.outputs.values()) <= targets | columns | {"g", "p", *program.states}


@every_program
def test_the_loop_never_divides_by_a_row_nor_raises_to_a_known_power(program):
    columns = {f"_k{j}": column for j, column in enumerate(program.columns)}
    for instruction in program.body:
        if instruction.op == "pow":  # a product or a root would do for a literal, in a tenth of the time
            assert columns[instruction.arguments[1]].op != "literal"
        assert not (instruction.op == "div" and instruction.arguments[1].startswith("_k"))
        assert not all(a.startswith("_k") for a in instruction.arguments), "row arithmetic belongs in the table"


@every_program
def test_the_body_computes_nothing_twice(program):
    computed = [(i.op, i.arguments) for i in program.body]
    assert len(set(computed)) == len(computed)
    keys = [column.key for column in program.columns]
    assert len(set(keys)) == len(keys)


def test_remainders_are_of_row_values():
    every = row("t") % row("k")
    assert (every.op, every.row) == ("mod", True)
    with pytest.raises(TypeError, match="% takes row values"):
        _ = element("g") % 2
