"""A matrix product whose rows do not depend on their neighbours.

A BLAS picks another order of summation for another batch size, so a row scored alone differs in
its last bits from the same row in a batch. Here the operands are rounded to a grid on which every
partial sum fits the 53 bits of a float64; then no order rounds, and all orders agree, on any BLAS
and machine: |x| < 2^5 in steps of 2^-17 and |w| < 2^3 in steps of 2^-20 give products below 2^8 in
steps of 2^-37, and 128 of them stay below 2^15: 52 bits.
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

    Computed in float64 and rounded once, where the backends' own float32 functions differ in the
    last bits, which the grid of `exact_matmul` would turn into its steps. On a device without
    float64 it is the device's own.

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

    Args:
        x: Array of any shape; taken as float32.

    Examples:
        >>> from ember_core import ops
        >>> ops.exact_exp(ops.asarray([0.0], dtype="float32")).tolist()
        [1.0]
    """
    return BY_TYPE[type(x)].exact_exp(x)


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
