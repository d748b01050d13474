"""Elementary functions of single numbers, with the bits of `ember_core.ops` on arrays.

Each is the formula of `ember_core.ops.elementary`, rounded once. The functions of `ops` take a
library's value where that rounds to the same, and the formula where it may not: the bits are one.

The exponential and the hyperbolic tangent of float32 may use fused operations, which saves a third
of their time. An error below one unit in the last place of float64 is enough for them: no float32
has a result so close to where the rounding tips (`ops.exact_exp`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.ops.elementary import (
    COS_TERMS,
    DROPPED_BITS,
    EXP_TERMS,
    LN2_HIGH,
    LN2_LOW,
    LOG2_E,
    LOG_TERMS,
    MOST_EXPONENT,
    PER_QUARTER,
    QUARTER_HIGH,
    QUARTER_LOW,
    ROOT_HALF,
    SIN_TERMS,
)
from ember_core.ops.exact import GRID, INPUT_LIMIT

from .compiler import compiled
from .sums import pairwise_sum as pairwise_sum
from .sums import wide_sum as wide_sum
from .variants import fused

_F = np.float32
_ZERO, _ONE = _F(0.0), _F(1.0)
_LIMIT, _GRID = _F(INPUT_LIMIT), _F(GRID)
_MOST32 = 150.0  # argument past which an exponential is 0 or infinite in float32
_TANH_ONE = 20.0  # argument from which a hyperbolic tangent is 1
_BIAS, _FRACTION_BITS = 1023, 52
_FRACTION = (1 << _FRACTION_BITS) - 1
_HALF_BITS = 1022 << _FRACTION_BITS  # of 0.5
_SMALLEST_NORMAL, _RAISE, _RAISED_BY = 2.0**-1022, 2.0**54, 54
_ROUND_HALF, _ROUND_MASK = 1 << (DROPPED_BITS - 1), -(1 << DROPPED_BITS)


@compiled
def larger(x: Any, y: Any) -> Any:
    """Return `np.maximum` of two numbers: NaN where one is."""
    return x if x > y or x != x else y


@compiled
def smaller(x: Any, y: Any) -> Any:
    """Return `np.minimum` of two numbers: NaN where one is."""
    return x if x < y or x != x else y


@compiled
def _power_of_two(n: Any) -> Any:
    """Return `2^n` for a whole `n` from -1022 to 1023."""
    return np.int64((n + _BIAS) << _FRACTION_BITS).view(np.float64)


@compiled
def _exp_parts(x: Any) -> Any:
    """Return the power of two in `e^x`, and its product's other factor less 1."""
    k = np.rint(x * LOG2_E)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    value = EXP_TERMS[0] * r + EXP_TERMS[1]
    for i in range(2, len(EXP_TERMS)):
        value = value * r + EXP_TERMS[i]
    return np.int64(k), r + r * (r * value)


@fused
def _fused_exp_parts(x: Any) -> Any:
    """Return what `_exp_parts` does, up to rounding."""
    k = np.rint(x * LOG2_E)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    value = EXP_TERMS[0] * r + EXP_TERMS[1]
    for i in range(2, len(EXP_TERMS)):
        value = value * r + EXP_TERMS[i]
    return np.int64(k), r + r * (r * value)


@fused
def exp32(x: Any) -> Any:
    """Return `ops.exact_exp` of a float32."""
    wide: Any = np.float64(x)
    wide = -_MOST32 if wide < -_MOST32 else wide
    wide = _MOST32 if wide > _MOST32 else wide
    k, fraction = _fused_exp_parts(wide)
    return _F((1.0 + fraction) * _power_of_two(k))


@fused
def tanh32(x: Any) -> Any:
    """Return `ops.exact_tanh` of a float32."""
    size: Any = np.float64(x)
    size = -size if size < 0.0 else size
    size = _TANH_ONE if size > _TANH_ONE else size
    k, fraction = _fused_exp_parts(2.0 * size)
    power = _power_of_two(k)
    less_one = power * fraction + (power - 1.0)  # e^2x - 1, without loss where x is small
    return _F(np.copysign(less_one / (less_one + 2.0), np.float64(x)))


@compiled
def exp_all(x: Any, n: Any) -> None:
    """Replace the first `n` float32 by their exponentials: one array is one loop on vectors."""
    for i in range(n):
        x[i] = exp32(x[i])


@compiled
def tanh_all(x: Any, n: Any) -> None:
    """Replace the first `n` float32 by their hyperbolic tangents."""
    for i in range(n):
        x[i] = tanh32(x[i])


@compiled
def sigmoid32(x: Any) -> Any:
    """Return `ops.exact_sigmoid` of a float32."""
    e = exp32(-abs(x))
    return (e if x < _ZERO else _ONE) / (e + _ONE)


@compiled
def _log_of_normal(x: Any, exponent: Any) -> Any:
    """Return the logarithm of `2^exponent x` for a normal float64 above 0, without a branch."""
    bits = np.float64(x).view(np.int64)
    exponent += (bits >> _FRACTION_BITS) - (_BIAS - 1)
    mantissa = np.int64((bits & _FRACTION) | _HALF_BITS).view(np.float64)
    is_small = mantissa < ROOT_HALF
    mantissa = 2.0 * mantissa if is_small else mantissa
    exponent = exponent - 1 if is_small else exponent
    f = mantissa - 1.0
    k = np.float64(exponent)
    s = f / (f + 2.0)
    z = s * s
    value = LOG_TERMS[0] * z + LOG_TERMS[1]
    for i in range(2, len(LOG_TERMS)):
        value = value * z + LOG_TERMS[i]
    half_square = 0.5 * (f * f)
    lower = s * (half_square + z * value) + k * LN2_LOW
    return k * LN2_HIGH - ((half_square - lower) - f)


@compiled
def _log_of(x: Any) -> Any:
    """Return the logarithm in float64 of a float64."""
    if not (x > 0.0 and x < np.inf):
        if x == 0.0:
            return -np.inf
        return np.nan if x < 0.0 else x
    if x < _SMALLEST_NORMAL:
        return _log_of_normal(x * _RAISE, np.int64(-_RAISED_BY))
    return _log_of_normal(x, np.int64(0))


@compiled
def log32(x: Any) -> Any:
    """Return `ops.exact_log` of a float32."""
    wide: Any = np.float64(x)  # a normal number, but for 0, infinities and NaN
    value = _log_of_normal(wide, np.int64(0))
    value = value if wide > 0.0 else np.nan
    value = value if wide != 0.0 else -np.inf
    value = value if wide < np.inf else wide
    return _F(value)


@compiled
def log_all(x: Any, n: Any) -> None:
    """Replace the first `n` float32 by their logarithms."""
    for i in range(n):
        x[i] = log32(x[i])


@compiled
def _wave(x: Any, quarters: Any) -> Any:
    """Return the sine in float64 of an angle and some quarters of a turn."""
    k = np.rint(x * PER_QUARTER)
    angle = (x - k * QUARTER_HIGH) - k * QUARTER_LOW
    minus = -(angle * angle)
    quarter = np.int64(k) + quarters
    if quarter & 1:
        value = COS_TERMS[0] * minus + COS_TERMS[1]
        for i in range(2, len(COS_TERMS)):
            value = value * minus + COS_TERMS[i]
        wave = 1.0 + (0.5 * minus + minus * (minus * value))
    else:
        value = SIN_TERMS[0] * minus + SIN_TERMS[1]
        for i in range(2, len(SIN_TERMS)):
            value = value * minus + SIN_TERMS[i]
        wave = angle + angle * (minus * value)
    return wave * np.float64(1 - (quarter & 2))


@compiled
def sin32(x: Any) -> Any:
    """Return `ops.exact_sin` of a float64 angle, as float32."""
    return _F(_wave(x, 0))


@compiled
def cos32(x: Any) -> Any:
    """Return `ops.exact_cos` of a float64 angle, as float32."""
    return _F(_wave(x, 1))


@compiled
def _round_wide(x: Any) -> Any:
    """Round a float64 as `ops.wide_exp` and `ops.wide_log` do."""
    bits = np.float64(x).view(np.int64)
    return np.int64((bits + _ROUND_HALF) & _ROUND_MASK).view(np.float64)


@compiled
def wide_exp(x: Any) -> Any:
    """Return `ops.wide_exp` of a float64."""
    x = -MOST_EXPONENT if x < -MOST_EXPONENT else x
    x = MOST_EXPONENT if x > MOST_EXPONENT else x
    if x != x:
        return _round_wide(x)
    k, fraction = _exp_parts(x)
    half = k // 2  # the powers of two of the ends are no normal numbers
    return _round_wide((1.0 + fraction) * _power_of_two(half) * _power_of_two(k - half))


@compiled
def wide_log(x: Any) -> Any:
    """Return `ops.wide_log` of a float64."""
    return _round_wide(_log_of(x))


@compiled
def on_grid(x: Any) -> Any:
    """Round a float32 to the grid of `ops.exact_matmul`; NaN stays NaN."""
    x = _LIMIT if x > _LIMIT else x
    x = -_LIMIT if x < -_LIMIT else x
    return (x + _GRID) - _GRID
