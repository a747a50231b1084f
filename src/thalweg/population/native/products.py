"""Matrix products as calls of BLAS, which reads and writes matrices column by column."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from thalweg.population.native.places import Place


class Matrices(NamedTuple):
    """Matrices of one block as BLAS takes them. step: elements from one to the next; transposed: "N" or "T"."""

    block: str
    offset: int
    leading: int
    transposed: str
    step: int


@dataclass(frozen=True)
class MatrixProduct:
    """`count` products c = a b, column by column: a is `[m, k]`, b `[k, n]`, c `[m, n]`."""

    count: int
    m: int
    n: int
    k: int
    a: Matrices
    b: Matrices
    c: Matrices


def product(left: Place, right: Place, into: Place) -> MatrixProduct:
    """left `[…, m, k]` times right `[…, k, n]`, each with contiguous rows or columns; `into` is dense."""
    m, k = left.shape[-2:]
    n = right.shape[-1]
    count = math.prod(left.shape[:-2])
    c = _matrices(into)
    if c.transposed == "N":
        return MatrixProduct(count, m, n, k, _matrices(left), _matrices(right), c)
    return MatrixProduct(count, n, m, k, _turned(_matrices(right)), _turned(_matrices(left)), _turned(c))


def _matrices(place: Place) -> Matrices:
    """A matrix by columns is "N"; one by rows is another's transpose."""
    (rows, columns), (m, n) = place.layout.stride()[-2:], place.shape[-2:]
    by_column = (rows == 1 or m == 1) and (columns >= m or n == 1)
    by_row = (columns == 1 or n == 1) and (rows >= n or m == 1)
    assert by_column or by_row
    step = place.layout.stride()[0] if place.layout.ndim == 3 else 0
    offset = place.offset
    if by_row:
        return Matrices(place.block, offset, max(n, rows if m > 1 else 1), "T", step)
    return Matrices(place.block, offset, max(m, columns if n > 1 else 1), "N", step)


def _turned(matrices: Matrices) -> Matrices:
    return matrices._replace(transposed="N" if matrices.transposed == "T" else "T")
