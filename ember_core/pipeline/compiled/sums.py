"""Sums of numbers in NumPy's order: eight sums side by side up to 128 numbers, then halves."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from .compiler import compiled

_FEW, _BUFFER = 128, 8192  # numbers that NumPy adds in one loop, and that it converts at a time
_LANES = 8
_WORD, _LANE = ir.IntType(64), ir.IntType(32)


def _lanes(typing: Any, x: Any, begin: Any, n: Any) -> Any:
    """Return signature and code of the sum of `n` numbers, a multiple of 8.

    Every eighth number goes into one of eight sums; these are added by pairs. LLVM does not see a
    vector in eight sums; on one it takes a third of the time.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, begin, n = arguments
        contents = context.make_array(signature.args[0])(context, builder, array)
        vector = ir.VectorType(contents.data.type.pointee, _LANES)

        def load(position: Any) -> Any:
            pointer = builder.gep(contents.data, [position])
            loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()))
            loaded.align = context.get_abi_sizeof(contents.data.type.pointee)
            return loaded

        entry, first = builder.block, load(begin)
        end = builder.add(begin, n)
        head = builder.append_basic_block("head")
        body = builder.append_basic_block("body")
        end_block = builder.append_basic_block("done")
        second = builder.add(begin, ir.Constant(_WORD, _LANES))
        builder.branch(head)
        builder.position_at_end(head)
        position, sums = builder.phi(_WORD), builder.phi(vector)
        position.add_incoming(second, entry)
        sums.add_incoming(first, entry)
        builder.cbranch(builder.icmp_signed("<", position, end), body, end_block)
        builder.position_at_end(body)
        next_sums = builder.fadd(sums, load(position))
        position.add_incoming(builder.add(position, ir.Constant(_WORD, _LANES)), body)
        sums.add_incoming(next_sums, body)
        builder.branch(head)
        builder.position_at_end(end_block)
        parts = [builder.extract_element(sums, ir.Constant(_LANE, i)) for i in range(_LANES)]
        while len(parts) > 1:
            parts = [builder.fadd(*parts[i : i + 2]) for i in range(0, len(parts), 2)]
        return parts[0]

    return x.dtype(x, begin, n), generate


_sum_of_lanes: Any = intrinsic(_lanes)


@compiled
def _sum_of_few(x: Any, begin: Any, n: Any) -> Any:
    """Return the sum of up to 128 numbers."""
    even_count = n - n % _LANES
    total = x.dtype.type(-0.0)
    if even_count:
        total = _sum_of_lanes(x, begin, even_count)
    for i in range(begin + even_count, begin + n):
        total += x[i]
    return total


@compiled
def _sum_of_pairs(x: Any, begin: Any, n: Any) -> Any:
    """Return the sum of up to 8,192 numbers in NumPy's order: halves of halves.

    Numba cannot keep the machine code of a function that calls itself. The tree of halves is
    walked with two stacks instead: sizes of right halves, 0 while in one, and sums of left halves.
    """
    a = b = c = d = e = f = g = 0
    sum_a = sum_b = sum_c = sum_d = sum_e = sum_f = sum_g = x.dtype.type(0.0)
    depth = 0
    while True:
        while n > _FEW:
            half = n // 2
            half -= half % 8
            a, b, c, d, e, f, g = n - half, a, b, c, d, e, f
            n = half
            depth += 1
        total = _sum_of_few(x, begin, n)
        begin += n
        while depth > 0 and a == 0:
            total = sum_a + total
            sum_a, sum_b, sum_c, sum_d, sum_e, sum_f = sum_b, sum_c, sum_d, sum_e, sum_f, sum_g
            a, b, c, d, e, f = b, c, d, e, f, g
            depth -= 1
        if depth == 0:
            return total
        sum_b, sum_c, sum_d, sum_e, sum_f, sum_g = sum_a, sum_b, sum_c, sum_d, sum_e, sum_f
        sum_a, n, a = total, a, 0


@compiled
def pairwise_sum(x: Any, begin: Any, n: Any) -> Any:
    """Return the sum of `n` numbers, up to 8,192, from a place on, as `np.add.reduce` has it.

    Args:
        x: float32 or float64, `(N,)`; so is the sum.
        begin: Place of the first one.
        n: Count of these numbers.
    """
    zero = x.dtype.type(0.0)  # a sum begins at 0, so that it is never -0
    if n <= _FEW:
        return zero + _sum_of_few(x, begin, n)
    return zero + _sum_of_pairs(x, begin, n)


@compiled
def wide_sum(x: Any, begin: Any, n: Any) -> Any:
    """Return the sum of `n` numbers from a place on in NumPy's order, as `ops.wide_sum` has it.

    Args:
        x: float64, `(N,)`.
        begin: Place of the first one.
        n: Count of these numbers.
    """
    total = pairwise_sum(x, begin, min(n, _BUFFER))
    for start in range(begin + _BUFFER, begin + n, _BUFFER):
        total += _sum_of_pairs(x, start, min(begin + n - start, _BUFFER))
    return total
