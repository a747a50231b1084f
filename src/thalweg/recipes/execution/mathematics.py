"""The text of powers, exponentials and logarithms of float32, for Numba to compile.

A library's function is called for one number at a time; arithmetic is vectorized. It is in float64, to 1e-9 of the
result, which is rounded once: series of the logarithm in (m - 1) / (m + 1), and of the exponential, on either side of
a power of two.
"""

MATHEMATICS = '''

@intrinsic
def _bits(typing_context, number):
    """Of a float64."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _from_bits(typing_context, bits):
    """The float64 with these."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


_endless = float("inf")


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _log2(x):
    """Of a float64 above 0 that is finite."""
    bits = _bits(x)
    m = _from_bits(bits & 0xFFFFFFFFFFFFF | 0x3FF0000000000000)
    upper = m > 1.4142135623730951
    m = 0.5 * m if upper else m
    e = _from_bits(bits >> 52 | 0x4330000000000000) - 4503599627371519.0  # the exponent, and 2**52 + 1023
    e = e + 1.0 if upper else e
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = 1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13)))))
    return e + 2.8853900817779268 * (s + s * z * series)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _exp2(x):
    """Of any float64 but NaN; beyond what float32 holds, something as far beyond it."""
    x = x if x < 1000.0 else 1000.0
    x = x if x > -1000.0 else -1000.0
    near = x + 6755399441055744.0  # 3 * 2**51: its last bits are x, rounded
    f = 0.6931471805599453 * (x - (near - 6755399441055744.0))
    series = 1 / 120 + f * (1 / 720 + f * (1 / 5040 + f * (1 / 40320 + f * (1 / 362880))))
    series = 1.0 + f * (1.0 + f * (0.5 + f * (1 / 6 + f * (1 / 24 + f * series))))
    return _from_bits((_bits(near) << 52) + 0x3FF0000000000000) * series


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _exp(x):
    return _real(_exp2(1.4426950408889634 * x)) if x == x else x


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _log(x):
    found = 0.6931471805599453 * _log2(numba.float64(x))
    found = found if x < _endless else numba.float64(x)
    found = found if x > 0 else (-_endless if x == 0 else _endless - _endless)
    return _real(found)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _cbrt(x):
    found = _exp2(_log2(numba.float64(abs(x))) * (1 / 3))
    found = -found if x < 0 else found
    return _real(found) if x != 0 and abs(x) < _endless else x


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _power(x, y):
    size, y = numba.float64(abs(x)), numba.float64(y)
    found = _exp2(y * _log2(size))
    found = found if size > 0 else (0.0 if y > 0 else _endless)
    found = found if size < _endless else (_endless if y > 0 else 0.0)
    near = y + 6755399441055744.0
    whole = near - 6755399441055744.0 == y
    odd = -found if whole and _bits(near) & 1 else found
    negative = odd if whole or not 0 < size < _endless else _endless - _endless
    found = negative if _bits(numba.float64(x)) < 0 else found
    found = found if x == x and y == y else _endless - _endless
    return _real(found if y != 0 else 1.0)


'''
