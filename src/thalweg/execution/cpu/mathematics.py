"""Numba source of powers, exponentials, cube roots and logarithms of float32.

A library function is called for one number at a time; arithmetic is vectorized. Exponentials and cube roots stay in
float32, of which a vector holds twice as many as of float64, with error terms where they count; powers and logarithms
are computed in float64 and rounded once. Results are within 0.52 units in the last place; subnormal exponentials,
which are rounded twice, within 0.76.
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


@intrinsic
def _fused(typing_context, a, b, c):
    """a * b + c, rounded once."""

    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@intrinsic
def _times(typing_context, a, b):
    """a * b, rounded by itself, whatever is added."""

    def generate(context, builder, signature, arguments):
        return builder.fmul(*arguments)

    return types.float32(types.float32, types.float32), generate


@intrinsic
def _inverse_root(typing_context, a):
    """About a**(-1/3) of a float32 above 0: its bits are a number less a third of those of `a`."""

    def generate(context, builder, signature, arguments):
        number = ir.FloatType()
        bits = builder.sitofp(builder.bitcast(arguments[0], _word), number)
        third = builder.fptosi(builder.fmul(bits, number(1 / 3)), _word)
        return builder.bitcast(builder.sub(_word(0x54A2FA8C), third), number)

    return types.float32(types.float32), generate


@intrinsic
def _scaled(typing_context, a, n):
    """a * 2**n, for a float32 that is a whole number of at most 252."""

    def generate(context, builder, signature, arguments):
        number, whole = arguments[0], builder.fptosi(arguments[1], _word)
        half = builder.ashr(whole, _word(1))
        for part in (half, builder.sub(whole, half)):
            power = builder.shl(builder.add(part, _word(127)), _word(23))
            number = builder.fmul(number, builder.bitcast(power, ir.FloatType()))
        return number

    return types.float32(types.float32, types.float32), generate


_endless = float("inf")
_inf, _once = _real("inf"), _real(1)
_two_ninths, _four_thirds = _real(2 / 9), _real(4 / 3)
_large, _small, _back = _real(2.0**60), _real(2.0**-60), _real(2.0**-20)
_whole = _real(12582912)  # 3 * 2**22, added and taken off, rounds to a whole number
_per_ln2, _ln2_short, _ln2_rest = _real(1.4426950408889634), _real(0.693359375), _real(-0.00021219444005469057)
_e2, _e3, _e4 = _real(0.5), _real(0.16666667163), _real(0.04166646674)
_e5, _e6, _e7 = _real(0.00833331048), _real(0.00139336474), _real(0.00019890988)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _grown(g, rest):
    """e**(g + rest), for |g| up to 0.35 and a rest in its last place; the series is minimax."""
    series = _e2 + g * (_e3 + g * (_e4 + g * (_e5 + g * (_e6 + g * _e7))))
    near = _once + g
    left = g - (near - _once)
    return near + (left + (rest + g * g * series))


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _exp(x):
    within = x if x < _real(89) else _real(89)
    within = within if within > _real(-104.5) else _real(-104.5)
    n = _fused(within, _per_ln2, _whole) - _whole
    f = _fused(-n, _ln2_short, within)
    g = _fused(-n, _ln2_rest, f)
    return _scaled(_grown(g, _fused(-n, _ln2_rest, f - g)), n) if x == x else x


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _cbrt(x):
    """Two steps of Newton's kind towards a**(-1/3), of order 2 and 3, and one towards the root by its exact error."""
    a = abs(x)
    tiny = a < _small
    a = a * _large if tiny else a
    r = _inverse_root(a)
    r = r * (_four_thirds - _third * a * (r * r * r))
    e = _once - a * (r * r * r)
    r = r + r * e * (_third + _two_ninths * e)
    c = a * (r * r)
    square = _times(c, c)
    left = _fused(-_fused(c, c, -square), c, _fused(-square, c, a))
    c = _fused(left * (r * r), _third, c)
    c = c * _back if tiny else c
    return _copysign(c if _zero < a < _inf else a, x)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _log2(x):
    """Of a float64 above 0 that is finite: by a series in (m - 1) / (m + 1), where m is between 0.7 and 1.4."""
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
    series = 0.04166646674275398 + f * (0.00833331048488617 + f * (0.001393364742398262 + f * 0.00019890988187398762))
    series = 1.0 + f * (1.0 + f * (0.5 + f * (0.1666666716337204 + f * series)))  # minimax, too
    return _from_bits((_bits(near) << 52) + 0x3FF0000000000000) * series


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _log(x):
    found = 0.6931471805599453 * _log2(numba.float64(x))
    found = found if x < _endless else numba.float64(x)
    found = found if x > 0 else (-_endless if x == 0 else _endless - _endless)
    return _real(found)


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
