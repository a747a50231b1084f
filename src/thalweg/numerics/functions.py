"""The functions a rule may use in addition to operators. Each accepts a number, a tensor or a symbol.

Those of schedules, which `_array` marks, accept a float64 NumPy array, too.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from thalweg.numerics.symbol import Symbol, lift

Value: TypeAlias = Any  # a number, a tensor or a symbol: a rule does not care, which is the point


def sqrt(x: Value) -> Value:
    """√x, elementwise. NaN for a negative element."""
    if hasattr(x, "sqrt"):
        return x.sqrt()
    if _array(x):
        import numpy as np

        return np.sqrt(x)
    return math.sqrt(x) if x >= 0 else math.nan


def power(x: Value, exponent: Value) -> Value:
    """x to an exponent, elementwise, for x of 0 or more; NaN where x is NaN. Slow: multiply or take roots instead."""
    if _symbolic(x, exponent):
        return Symbol("pow", lift(x), lift(exponent))
    if _tensor(x) or _tensor(exponent):
        return x**exponent
    if _array(x) or _array(exponent):
        return _each(power, x, exponent) if _as_numbers.get() else x**exponent
    return math.inf if x == 0 and exponent < 0 else x**exponent if x >= 0 else math.nan


def cbrt(x: Value) -> Value:
    """∛x with the sign of x, elementwise. On tensors it is a power of ⅓, which is rounded: within a few roundings."""
    if _tensor(x):
        return x.abs().pow(1 / 3).copysign(x)  # torch has no cube root
    return x.cbrt() if isinstance(x, Symbol) else math.cbrt(x)


def exp(x: Value) -> Value:
    """eˣ, elementwise; infinity where it is too large."""
    if hasattr(x, "exp"):
        return x.exp()
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def cos(x: Value) -> Value:
    """cos x, elementwise, of numbers, tensors and row values: schedules have it, elements do not."""
    if type(x) is float:
        return math.cos(x)
    if _array(x):
        import numpy as np

        return _each(math.cos, x) if _as_numbers.get() else np.cos(x)
    return x.cos() if hasattr(x, "cos") else math.cos(x)


def floor(x: Value) -> Value:
    """The largest whole number that is at most x, elementwise, of numbers, tensors and row values."""
    return x - x % 1.0


def log(x: Value) -> Value:
    """ln x, elementwise: -infinity at 0, NaN for a negative element."""
    if hasattr(x, "log"):
        return x.log()
    if _array(x):
        import numpy as np

        with np.errstate(all="ignore"):
            return _each(log, x) if _as_numbers.get() else np.log(x)
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def absolute(x: Value) -> Value:
    """|x|, elementwise."""
    return abs(x)


def sign(x: Value) -> Value:
    """-1, 0 or 1 by the sign of x, elementwise; NaN where x is NaN."""
    if _tensor(x):
        return where(x == x, x.sign(), x)  # torch's own makes NaN 0, which hides a run that diverged
    return x.sign() if isinstance(x, Symbol) else math.nan if x != x else float((x > 0) - (x < 0))


def maximum(a: Value, b: Value) -> Value:
    """The larger, elementwise; NaN where either is NaN."""
    if type(a) is type(b) is float:
        return _first_nan(a, b, max(a, b))
    if _symbolic(a, b):
        return Symbol("max", lift(a), lift(b))
    if _array(a) or _array(b):
        import numpy as np

        return np.maximum(a, b)
    if _tensor(a):
        return a.maximum(b) if _tensor(b) else a.clamp(min=b)
    return b.clamp(min=a) if _tensor(b) else _first_nan(a, b, max(a, b))


def minimum(a: Value, b: Value) -> Value:
    """The smaller, elementwise; NaN where either is NaN."""
    if type(a) is type(b) is float:
        return _first_nan(a, b, min(a, b))
    if _symbolic(a, b):
        return Symbol("min", lift(a), lift(b))
    if _array(a) or _array(b):
        import numpy as np

        return np.minimum(a, b)
    if _tensor(a):
        return a.minimum(b) if _tensor(b) else a.clamp(max=b)
    return b.clamp(max=a) if _tensor(b) else _first_nan(a, b, min(a, b))


def clip(x: Value, low: Value, high: Value) -> Value:
    """x limited to [low, high], elementwise."""
    return minimum(maximum(x, low), high)


def lerp(start: Value, end: Value, weight: Value) -> Value:
    """`start + weight·(end - start)`, elementwise, as `torch.lerp`: exact at both ends; NaN after an infinite start."""
    near = weight < 0.5
    return where(near, start, end) + where(near, weight, weight - 1.0) * (end - start)


def where(condition: Value, a: Value, b: Value) -> Value:
    """a where the condition holds, else b. Both are evaluated; neither is differentiated.

    Two numbers under a tensor's condition give float64: `where(c, a * x, b * x)` keeps the dtype of x.
    """
    if type(a) is type(b) is float and isinstance(condition, bool):
        return a if condition else b
    if _symbolic(condition, a, b):
        return Symbol("where", lift(condition), lift(a), lift(b))
    if _tensor(condition):
        import torch

        a = a if _tensor(a) or _tensor(b) else torch.full((), a, dtype=torch.float64, device=condition.device)
        return torch.where(condition, a, b)
    if _array(condition):
        import numpy as np

        return np.where(condition, a, b)
    return a if condition else b


def round_to_default_dtype(x: Value) -> Value:
    """Rounds a row value to the dtype of row state, `row_dtype()`."""
    if isinstance(x, Symbol):
        if not x.row:
            raise TypeError("round_to_default_dtype takes a row value (step, rate, row state), none with elements.")
        return Symbol("kept", x)
    import torch

    if _tensor(x):
        return x.to(row_dtype()).to(x.dtype)
    return torch.tensor(x, dtype=row_dtype(), device="cpu").item()


_row_dtype: ContextVar[Any] = ContextVar("row_dtype", default=None)


def row_dtype() -> Any:
    """The dtype of row state: that of `rows_held_in` if set, else float64 if it is torch's default, else float32."""
    import torch

    return _row_dtype.get() or (torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32)


@contextmanager
def rows_held_in(dtype: Any) -> Iterator[None]:
    """A context in which row state has this dtype, such as a checkpoint's; `None` for torch's default."""
    token = _row_dtype.set(dtype)
    try:
        yield
    finally:
        _row_dtype.reset(token)


_as_numbers: ContextVar[bool] = ContextVar("_as_numbers", default=False)


@contextmanager
def rounded_as_numbers() -> Iterator[None]:
    """A context in which functions of arrays round as those of numbers do: NumPy's own differ in the last place."""
    token = _as_numbers.set(True)
    try:
        yield
    finally:
        _as_numbers.reset(token)


def _each(function: Callable[..., float], *arrays: Value) -> Value:
    """A function of numbers, number by number of arrays that broadcast with each other."""
    import numpy as np

    return np.frompyfunc(function, len(arrays), 1)(*arrays).astype(np.float64)


def _symbolic(*values: Value) -> bool:
    return any(isinstance(v, Symbol) for v in values)


def _array(x: Value) -> bool:
    """Whether x is a NumPy array. NumPy is not imported for it: commands that need none start sooner."""
    return type(x).__name__ == "ndarray"


def _first_nan(a: Value, b: Value, otherwise: Value) -> Value:
    return a if a != a else b if b != b else otherwise


def _tensor(x: Value) -> bool:
    return hasattr(x, "clamp")
