"""Logarithm, exponential, sine and cosine that round the same on every machine.

NumPy's own loops differ in their last bits with the instructions of a processor and with the C
library. These functions consist of sums, products and quotients of float64, which IEEE 754 rounds
in one way only, and of moves of the exponent, which round nothing. NumPy never contracts a product
and a sum.

They cost some thirty operations on an array. So a library's function comes first; where its result
lies so close to where a coarser rounding tips that another library's could fall to the other side,
they decide.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

Function = Callable[[Any], Any]

BOUNDS: Final = (1.0 - 2.0**-49, 1.0 + 2.0**-49)
"""Factors past any error of a library: eight units in the last place of float64."""
WIDE_BITS: Final = 34
"""Bits after the first one that are kept of a rounded float64: an error of 3e-11."""
_BELOW, _ABOVE = BOUNDS
_TILE: Final = 4096  # numbers whose intermediate arrays stay in a processor's cache
DROPPED_BITS: Final = 52 - WIDE_BITS
"""Bits that the rounding of a float64 takes away."""
_HALF, _MASK = np.int64(1 << (DROPPED_BITS - 1)), np.int64(-(1 << DROPPED_BITS))

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""The upper bits of ln 2, whose product with a small whole number is exact, and the rest."""
QUARTER_HIGH, QUARTER_LOW = 1.57079632673412561417, 6.07710050650619224932e-11
"""The same of a quarter of a turn."""
LOG2_E: Final = 1.4426950408889634
PER_QUARTER: Final = 0.6366197723675814
ROOT_HALF: Final = 0.7071067811865476
MOST_EXPONENT: Final = 760.0
"""Argument of `exp` past which the result is 0 or infinite."""


def _inverse_factorials(first: int, last: int, step: int = 1) -> tuple[float, ...]:
    """Return `1 / n!` for every `step`-th `n`, the last one first."""
    factorial, inverses = 1, []
    for n in range(1, last + 1):
        factorial *= n
        if n >= first and (n - first) % step == 0:
            inverses.append(1.0 / factorial)
    return tuple(inverses[::-1])


EXP_TERMS: Final = _inverse_factorials(2, 13)
SIN_TERMS: Final = _inverse_factorials(3, 17, 2)
COS_TERMS: Final = _inverse_factorials(4, 18, 2)
LOG_TERMS: Final = tuple(2.0 / n for n in range(21, 1, -2))
"""Coefficients of the polynomials, that of the highest power first."""


def log(x: Any) -> Doubles:
    """Return the natural logarithm with an error below one unit in the last place.

    Args:
        x: Array of any shape; taken as float64.

    Returns:
        float64; -inf at 0, NaN below it.
    """
    x = np.asarray(x, np.float64)
    is_ordinary = (x > 0.0) & (x < np.inf)
    with np.errstate(all="ignore"):
        special = np.log(np.where(is_ordinary, 1.0, x))  # 0, infinities and NaN
    mantissa, exponent = np.frexp(np.where(is_ordinary, x, 1.0))
    is_small = mantissa < ROOT_HALF
    f = mantissa * (is_small + 1.0) - 1.0  # from sqrt(1/2) - 1 to sqrt(2) - 1, exact
    k = np.subtract(exponent, is_small, dtype=np.float64)
    # log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + r)): only small numbers are rounded.
    s = f / (f + 2.0)
    z = s * s
    half_square = 0.5 * (f * f)
    lower = s * (half_square + z * _horner(LOG_TERMS, z)) + k * LN2_LOW
    value = k * LN2_HIGH - ((half_square - lower) - f)
    return np.asarray(np.where(is_ordinary, value, special))


def exp(x: Any) -> Doubles:
    """Return `e` to the power of `x` with an error below one unit in the last place.

    Args:
        x: Array of any shape; taken as float64.
    """
    x = np.minimum(np.maximum(np.asarray(x, np.float64), -MOST_EXPONENT), MOST_EXPONENT)
    k = np.rint(x * LOG2_E)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    value = 1.0 + (r + r * (r * _horner(EXP_TERMS, r)))
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        return np.asarray(np.ldexp(value, k.astype(np.int32)))


def sin(x: Any) -> Doubles:
    """Return the sine with an error below 2^-52.

    Args:
        x: Array of any shape, of magnitude below 10^5; taken as float64.
    """
    return _wave(x, 0)


def cos(x: Any) -> Doubles:
    """Return the cosine with an error below 2^-52.

    Args:
        x: Array of any shape, of magnitude below 10^5; taken as float64.
    """
    return _wave(x, 1)


def _wave(x: Any, quarters: int) -> Doubles:
    """Return the sine of `x` and some quarters of a turn."""
    x = np.asarray(x, np.float64)
    k = np.rint(x * PER_QUARTER)
    angle = (x - k * QUARTER_HIGH) - k * QUARTER_LOW
    minus = -(angle * angle)
    sine = angle + angle * (minus * _horner(SIN_TERMS, minus))
    cosine = 1.0 + (0.5 * minus + minus * (minus * _horner(COS_TERMS, minus)))
    quarter = k.astype(np.int64) + quarters
    return np.asarray(np.where(quarter & 1, cosine, sine) * (1.0 - (quarter & 2)))


def _horner(coefficients: tuple[float, ...], x: Doubles) -> Doubles:
    """Return the polynomial with these coefficients, the highest first."""
    value = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value


def nearest_float32(function: Function, reference: Function, x: Doubles) -> Any:
    """Return a library's function in float32, so that every library's has the same bits.

    Args:
        function: The library's function of float64.
        reference: The function of this module, which decides where the rounding could tip.
        x: Argument, an array of any shape.

    Returns:
        float32.
    """
    if x.size > _TILE:
        return _by_tiles(partial(nearest_float32, function, reference), x, np.float32)
    wide = function(x)
    low = (wide * _BELOW).astype(np.float32)
    high = (wide * _ABOVE).astype(np.float32)
    if low.tobytes() != high.tobytes():  # one number in some five million
        is_close = low != high
        low[is_close] = reference(x[is_close])
    return low


def nearest_wide(function: Function, reference: Function, x: Doubles) -> Any:
    """Return a library's function in float64, rounded so that every library's has the same bits.

    Args:
        function: The library's function of float64.
        reference: The function of this module, which decides where the rounding could tip.
        x: Argument, an array of any shape.

    Returns:
        float64 of `WIDE_BITS` bits after the first one.
    """
    if x.size > _TILE:
        return _by_tiles(partial(nearest_wide, function, reference), x, np.float64)
    wide = function(x)
    low = _round_wide(wide * _BELOW)
    high = _round_wide(wide * _ABOVE)
    if low.tobytes() != high.tobytes():  # one number in some sixteen thousand
        is_close = low != high
        low[is_close] = _round_wide(reference(x[is_close]))
    return low


def _round_wide(x: Doubles) -> Doubles:
    """Round float64 to `WIDE_BITS` bits after the first one."""
    bits = np.asarray(x).view(np.int64)
    bits = (bits + _HALF) & _MASK
    return bits.view(np.float64)


def _by_tiles(function: Function, x: Doubles, dtype: type) -> Any:
    """Apply a function of each element to parts of an array."""
    flat: Doubles = x.reshape(-1)
    value: NDArray[Any] = np.empty(x.size, dtype)
    for start in range(0, x.size, _TILE):
        value[start : start + _TILE] = function(flat[start : start + _TILE])
    return value.reshape(x.shape)
