"""Products of rows and weights on the grid of `ops.exact_matmul`, in vector registers.

No sum of up to 128 terms rounds there, so that any order and any fused operation has the same bits.
LLVM's own vectoriser keeps the sums in memory, which takes 2.7 times as long: a tile of rows and
columns is written out here as operations on vectors, which LLVM lowers for every processor.
"""

from __future__ import annotations

from itertools import product as pairs
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from ember_core.ops import ExactWeight
from ember_core.ops.exact import BLOCK_TERMS

from .compiler import compiled

cgutils: Any = untyped_cgutils
TILE_ROWS = 4
_WIDE = bool(llvm.get_host_cpu_features().get("avx512f"))
_LANES = 8 if _WIDE else 4  # numbers of a vector
_VECTORS = 4 if _WIDE else 3  # vectors of a row in a tile: the weights need registers too
_ALONE = 8  # vectors of a row alone: their sums do not wait for each other
_PADDING = 8
_DOUBLE, _WORD, _LANE = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
_NUMBER_BYTES = 8


def padded(weight: ExactWeight) -> NDArray[np.float64]:
    """Return a weight `(V, N)` with columns of zeros up to a multiple of 8."""
    matrix = np.concatenate(weight.blocks)
    return np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % _PADDING)))


def _tile(rows: int, vectors: int) -> Any:
    """Return an intrinsic: the sums of a tile of `rows` rows and `vectors` vectors of columns."""

    @intrinsic
    def sum_tile(
        typing: Any, x: Any, row: Any, begin: Any, end: Any, w: Any, column: Any, out: Any
    ) -> Any:
        word = types.int64
        return types.void(x, word, word, word, w, word, out), generate

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, row, begin, end, w, column, out = arguments
        vector = ir.VectorType(_DOUBLE, _LANES)
        fmuladd = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{_LANES}f64"
        )
        every_lane = ir.Constant(ir.VectorType(_LANE, _LANES), [0] * _LANES)

        def pointer(position: int, array: Any, first_row: Any, first_column: Any) -> Any:
            """Return the address of an element, and the numbers from a row to the next."""
            contents = context.make_array(signature.args[position])(context, builder, array)
            width = cgutils.unpack_tuple(builder, contents.shape)[1]
            address = builder.add(builder.mul(first_row, width), first_column)
            return builder.gep(contents.data, [address]), width

        def word(number: int) -> Any:
            return ir.Constant(_WORD, number)

        tile = list(pairs(range(rows), range(vectors)))
        sums = {address: cgutils.alloca_once(builder, vector) for address in tile}
        for address in tile:
            builder.store(ir.Constant(vector, None), sums[address])
        x_start, x_width = pointer(0, x, row, word(0))
        w_start, w_width = pointer(4, w, word(0), column)
        with cgutils.for_range_slice(builder, begin, end, word(1), intp=_WORD) as (term, _):
            w_row = builder.gep(w_start, [builder.mul(term, w_width)])
            weights = []
            for v in range(vectors):
                address = builder.gep(w_row, [word(v * _LANES)])
                weights.append(builder.load(builder.bitcast(address, vector.as_pointer())))
                weights[-1].align = _NUMBER_BYTES
            for r in range(rows):
                offset = builder.add(builder.mul(word(r), x_width), term)
                number = builder.load(builder.gep(x_start, [offset]))
                undefined = ir.Constant(vector, ir.Undefined)
                single = builder.insert_element(undefined, number, ir.Constant(_LANE, 0))
                factor = builder.shuffle_vector(single, undefined, every_lane)
                for v in range(vectors):
                    total = builder.load(sums[r, v])
                    builder.store(builder.call(fmuladd, [factor, weights[v], total]), sums[r, v])
        out_start, out_width = pointer(6, out, word(0), column)
        for r, v in tile:
            offset = builder.add(builder.mul(word(r), out_width), word(v * _LANES))
            address = builder.bitcast(builder.gep(out_start, [offset]), vector.as_pointer())
            builder.store(builder.load(sums[r, v]), address).align = _NUMBER_BYTES
        return context.get_dummy_value()

    return sum_tile


_four_wide, _four_narrow = _tile(TILE_ROWS, _VECTORS), _tile(TILE_ROWS, 1)
_one_wide, _one_narrow = _tile(1, _ALONE), _tile(1, 1)


@compiled
def _block(x: Any, row: Any, rows: Any, begin: Any, end: Any, w: Any, out: Any) -> None:
    """Write the products of some rows over the terms from `begin` to `end`."""
    column = 0
    if rows == 1:
        while column + _LANES * _ALONE <= w.shape[1]:
            _one_wide(x, row, begin, end, w, column, out)
            column += _LANES * _ALONE
        while column < w.shape[1]:
            _one_narrow(x, row, begin, end, w, column, out)
            column += _LANES
        return
    while column + _LANES * _VECTORS <= w.shape[1]:
        _four_wide(x, row, begin, end, w, column, out)
        column += _LANES * _VECTORS
    while column < w.shape[1]:
        _four_narrow(x, row, begin, end, w, column, out)
        column += _LANES


@compiled
def exact_product(x: Any, row: Any, rows: Any, w: Any, out: Any, part: Any) -> None:
    """Write what `ops.exact_matmul` rounds to float32: the product of up to four rows, in float64.

    Args:
        x: Numbers on the grid, `(R, V)`, float64; the four rows from `row` on must be there.
        row: First of the rows.
        rows: Number of rows that count, 1 to 4; above 1, the others' sums are written too.
        w: Weights as `padded` gives them, `(V, N)`, float64.
        out: Sums, `(4, N)`, float64.
        part: Memory for the sums of one block of terms, `(4, N)`, float64.
    """
    terms = w.shape[0]
    _block(x, row, rows, 0, min(BLOCK_TERMS, terms), w, out)
    for begin in range(BLOCK_TERMS, terms, BLOCK_TERMS):
        _block(x, row, rows, begin, min(begin + BLOCK_TERMS, terms), w, part)
        for r in range(rows):
            for j in range(w.shape[1]):
                out[r, j] += part[r, j]
