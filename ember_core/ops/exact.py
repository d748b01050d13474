"""Functions for inference whose bits depend on nothing but a row: the product, and elementary ones.

The product's rows do not depend on their neighbours. A BLAS picks another order of summation for
another batch size, so a row scored alone differs in its last bits from the same row in a batch.
Here the operands are rounded to a grid on which every partial sum fits the 53 bits of a float64;
then no order rounds, and all orders agree, on any BLAS and machine: |x| < 2^5 in steps of 2^-17 and
|w| < 2^3 in steps of 2^-20 give products below 2^8 in steps of 2^-37, and 128 of them stay below
2^15: 52 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from .dispatch import BY_TYPE, BY_TYPES, Array

INPUT_BITS = 17
INPUT_LIMIT = 32.0 - 2.0**-INPUT_BITS
WEIGHT_BITS = 20
WEIGHT_LIMIT = 8.0 - 2.0**-WEIGHT_BITS
BLOCK_TERMS = 128
GRID = 1.5 * 2.0 ** (23 - INPUT_BITS)
"""Adding and subtracting it rounds a float32 to `2^-INPUT_BITS`, halves to even."""


@dataclass(frozen=True, slots=True)
class ExactWeight:
    """A weight matrix made ready for `exact_matmul`, once; or a stack of them.

    Attributes:
        shape: `(V, N)` of the matrix, `(S, V, N)` of a stack.
        blocks: The rounded rows, at most 128 at a time, float64.
    """

    shape: tuple[int, ...]
    blocks: tuple[Array, ...]


def exact_weight(w: Array) -> ExactWeight:
    """Round a weight matrix to the grid of `exact_matmul`.

    Args:
        w: Finite array of shape `(V, N)`, or `(S, V, N)`; values of magnitude 8 and more are held
            just below it.

    Raises:
        ValueError: If `w` is no matrix of finite numbers, and no stack of them.
    """
    return BY_TYPE[type(w)].exact_weight(w)  # type: ignore[no-any-return]


def exact_matmul(x: Array, w: Array | ExactWeight) -> Array:
    """`x @ w` in float32, bit for bit the same whatever the batch, its order and its layout.

    Args:
        x: Array of shape `(..., V)`; taken as float32, held within |x| < 32 and rounded to 2^-17.
            A NaN makes its own row NaN and no other.
        w: Array of shape `(V, N)`, or the result of `exact_weight`, which saves rounding it anew.
            With a stack `(S, V, N)`, `x` is `(S, B, V)`: the product of each with its own.

    Returns:
        float32 array of shape `(..., N)`: the exact product of the rounded operands up to 128
        terms; beyond, blocks of 128 are added in float64 in their order.

    Raises:
        ValueError: If the last axis of `x` is not `V`, if `x` is no such stack where `w` is one,
            or if `w` is refused by `exact_weight`.

    Examples:
        >>> from ember_core import ops
        >>> w = ops.exact_weight(ops.asarray([[0.5], [-1.25]]))
        >>> ops.exact_matmul(ops.asarray([[2.0, 4.0]], dtype="float32"), w).tolist()
        [[-4.0]]
    """
    if isinstance(w, ExactWeight):
        return BY_TYPES[type(x), type(w.blocks[0] if w.blocks else x)].exact_matmul(x, w)
    return BY_TYPES[type(x), type(w)].exact_matmul(x, w)


def exact_tanh(x: Array) -> Array:
    """Hyperbolic tangent in float32, with the same bits on every backend.

    Computed in float64 and rounded once. Float64 functions differ in their last bits from machine
    to machine. No float32 has a hyperbolic tangent closer than 5 units in the last place of float64
    to where the rounding tips, so that all round to the same. On a device without float64 it is the
    device's own.

    Args:
        x: Array of any shape; taken as float32.

    Examples:
        >>> from ember_core import ops
        >>> ops.exact_tanh(ops.asarray([0.0, 100.0], dtype="float32")).tolist()
        [0.0, 1.0]
    """
    return BY_TYPE[type(x)].exact_tanh(x)


def exact_exp(x: Array) -> Array:
    """`e` to the power of `x` in float32, with the same bits on every backend; see `exact_tanh`.

    The closest to where the rounding tips is `exp(-14.575391)`, 1.26 units in the last place away.

    Args:
        x: Array of any shape; taken as float32.

    Examples:
        >>> from ember_core import ops
        >>> ops.exact_exp(ops.asarray([0.0], dtype="float32")).tolist()
        [1.0]
    """
    return BY_TYPE[type(x)].exact_exp(x)


def exact_log(x: Array) -> Array:
    """Natural logarithm in float32, with the same bits on every backend.

    A library's float64 logarithm rounded once, except where that lies close to where the rounding
    tips: there `ember_core.ops.elementary` decides.

    Args:
        x: Array of any shape; taken as float32.

    Examples:
        >>> from ember_core import ops
        >>> ops.exact_log(ops.asarray([1.0, 0.5], dtype="float32")).tolist()
        [0.0, -0.6931471824645996]
    """
    return BY_TYPE[type(x)].exact_log(x)


def exact_sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))` in float32, with the same bits on every backend.

    Args:
        x: Array of any shape; taken as float32.

    Examples:
        >>> from ember_core import ops
        >>> ops.exact_sigmoid(ops.asarray([-1000.0, 0.0, 1000.0], dtype="float32")).tolist()
        [0.0, 0.5, 1.0]
    """
    module = BY_TYPE[type(x)]
    x = module.astype(x, "float32")
    e = module.exact_exp(-module.abs(x))  # of a number below 0: nothing overflows
    return module.where(x < 0, e, module.ones_like(e)) / (e + 1.0)


def exact_sin(x: Array) -> Array:
    """Sine of float64 angles in float32, with the same bits on every backend; see `exact_log`.

    Args:
        x: Radians of any shape, of magnitude below 10^5; taken as float64.

    Examples:
        >>> from ember_core import ops
        >>> ops.exact_sin(ops.asarray([0.0, 0.5])).tolist()
        [0.0, 0.4794255495071411]
    """
    return BY_TYPE[type(x)].exact_sin(x)


def exact_cos(x: Array) -> Array:
    """Cosine of float64 angles in float32, with the same bits on every backend; see `exact_sin`.

    Args:
        x: Radians of any shape, of magnitude below 10^5; taken as float64.

    Examples:
        >>> from ember_core import ops
        >>> ops.exact_cos(ops.asarray([0.0, 0.5])).tolist()
        [1.0, 0.8775825500488281]
    """
    return BY_TYPE[type(x)].exact_cos(x)


def wide_log(x: Array) -> Array:
    """Natural logarithm in float64, with the same bits on every backend and machine.

    Computed on the host, and rounded to 34 bits after the first one: the relative error is 3e-11.

    Args:
        x: Array of any shape; taken as float64.

    Examples:
        >>> from ember_core import ops
        >>> round(float(ops.wide_log(ops.asarray([2.0]))[0]), 9)
        0.693147181
    """
    return BY_TYPE[type(x)].wide_log(x)


def wide_exp(x: Array) -> Array:
    """`e` to the power of `x` in float64, with the same bits everywhere; see `wide_log`.

    Args:
        x: Array of any shape; taken as float64.

    Examples:
        >>> from ember_core import ops
        >>> ops.wide_exp(ops.asarray([0.0])).tolist()
        [1.0]
    """
    return BY_TYPE[type(x)].wide_exp(x)


def check_fits(x_shape: tuple[int, ...], w: ExactWeight) -> None:
    """Refuse operands whose shapes do not fit.

    Raises:
        ValueError: If the last axis of `x` is not `V`, or `x` is no stack where `w` is one.
    """
    stack, terms = w.shape[:-2], w.shape[-2]
    if x_shape[-1:] != (terms,) or (stack and (len(x_shape) != 3 or x_shape[:1] != stack)):
        raise ValueError(
            "The operands of exact_matmul do not fit. Expected a stack x where w is one, and the "
            f"last axis of x to be V={terms} of w. Received: x.shape={x_shape}, w.shape={w.shape}."
        )
