"""Functions of whole matrices in a rule. In a traced rule a call is a symbol, at which the program is cut.

A pass over the elements computes the arguments, the function is called on stacked matrices, and later passes read the
result as elements.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

from thalweg.numerics.symbol import Symbol, lift

CALL, RESULT = "matrices", "result"
"""Operations of symbols: a call, whose value has elements, and a further result of it, a new state."""

_FUNCTIONS: dict[str, Callable[..., Any]] = {}
_numbers = itertools.count()


def of_matrices(*, states: int = 0) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a function of matrices: pure, in torch's operators, of any device, differentiable.

    Its first argument is a tensor `[…, rows, columns]`: a parameter of more dimensions has its first one as rows. The
    others are such tensors, states with shapes of their own, and row values, which broadcast with the matrices:
    numbers, or tensors `[…, 1, 1]`. It returns a tensor like its first argument, then as many new states as declared.
    Keyword arguments are plain Python values, fixed when a step is built.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        own = f"{function.__module__}.{function.__qualname__} {next(_numbers)}"

        @functools.wraps(function)
        def called(*arguments: Any, **fixed: Any) -> Any:
            if not any(isinstance(argument, Symbol) for argument in arguments):
                return function(*arguments, **fixed)
            name = f"{own} {sorted(fixed.items())}"
            _FUNCTIONS.setdefault(name, functools.partial(function, **fixed))
            call = Symbol(CALL, *map(lift, arguments), name=name, row=False)
            further = tuple(Symbol(RESULT, call, name=i, row=False) for i in range(states))
            return (call, *further) if states else call

        return called

    return declare


def function_of(name: str) -> Callable[..., Any]:
    """The declared function of a call's symbol."""
    return _FUNCTIONS[name]
