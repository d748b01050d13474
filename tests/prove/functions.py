"""Elementary functions of every float32, against polynomials that round the same everywhere.

A library's float64 functions differ in their last bits from machine to machine. Rounded to float32
they agree unless a value lies within that difference of where the rounding tips. The proof compares
all of them with functions of sums, products and quotients alone, and says how close they come.

`--compiled` compares the functions of the compiled step with those of `ops` instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import log_progress
from ember_core import ops
from ember_core.ops import elementary

from .frame import Refuted

_BLOCK: Final = 1 << 20
_INFINITE: Final = 0x7F80_0000
"""Bits of the smallest pattern that is no finite number."""
_NEGATIVE: Final = 0x8000_0000
_CLOSE: Final = 2.0**-49
"""Relative distance below which a value counts as close: 8 to 16 units in the last place."""


class Function(NamedTuple):
    """An exact function, the form it is held to, and the signs of its arguments."""

    exact: Callable[[Any], Any]
    reference: Callable[[Any], Any]
    signs: tuple[int, ...]


def _wide_tanh(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the hyperbolic tangent, to a few units in the last place of float64."""
    size = np.minimum(np.abs(x), 20.0)
    large = 1.0 - 2.0 / (elementary.exp(2.0 * size) + 1.0)
    small = np.minimum(size, 0.5)
    square = small * small
    sinh, cosh = np.zeros_like(small), np.zeros_like(small)
    for n in range(18, 0, -2):
        cosh = 1.0 + square / (n * (n - 1)) * cosh if n < 18 else np.ones_like(small)
        sinh = 1.0 + square / (n * (n + 1)) * sinh if n < 18 else np.ones_like(small)
    return np.copysign(np.where(size < 0.5, small * sinh / cosh, large), x)


FUNCTIONS: Final[Mapping[str, Function]] = {
    "exp": Function(ops.exact_exp, elementary.exp, (0, _NEGATIVE)),
    "tanh": Function(ops.exact_tanh, _wide_tanh, (0, _NEGATIVE)),
    "log": Function(ops.exact_log, elementary.log, (0,)),
}


def _compiled(name: str) -> Callable[[Any], Any]:
    """Return a function of arrays that applies one of the compiled step's."""
    from ember_core.pipeline.compiled import elementary as compiled

    in_place: Any = {
        "exp": compiled.exp_all,
        "tanh": compiled.tanh_all,
        "log": compiled.log_all,
    }[name]

    def apply(x: NDArray[np.float32]) -> NDArray[np.float32]:
        values = x.copy()
        in_place(values, values.size)
        return values

    return apply


def add_options(parser: argparse.ArgumentParser) -> None:
    """Choose the functions, and how many of the numbers."""
    parser.add_argument("--functions", default=",".join(FUNCTIONS), help="comma-separated")
    parser.add_argument(
        "--every", type=int, default=1, help="take every n-th block of a million numbers"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="compare the compiled step's functions with ops'"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Compare.

    Returns:
        Numbers compared, and how many lie close to where the rounding tips, by function.

    Raises:
        Refuted: If a number has other bits.
    """
    figures: dict[str, Any] = {"values": {}, "close": {}}
    for name in options.functions.split(","):
        log_progress(name)
        function = FUNCTIONS[name]
        if options.compiled:
            figures["values"][name] = _compare(name, options, figures)
            continue
        values = close = 0
        for x in _blocks(function.signs, options.every, options.seed):
            with np.errstate(all="ignore"):
                got, wide = function.exact(x), function.reference(x.astype(np.float64))
                right = wide.astype(np.float32)
                is_close = (wide * (1.0 - _CLOSE)).astype(np.float32) != (
                    wide * (1.0 + _CLOSE)
                ).astype(np.float32)
            values, close = values + x.size, close + int(is_close.sum())
            _refute(name, x, got, right, figures)
        figures["values"][name], figures["close"][name] = values, close
    return figures


def _compare(name: str, options: argparse.Namespace, figures: Mapping[str, Any]) -> int:
    """Compare a function of the compiled step with that of `ops`; return the count of numbers."""
    function, compiled, values = FUNCTIONS[name], _compiled(name), 0
    for x in _blocks(function.signs, options.every, options.seed):
        with np.errstate(all="ignore"):
            right = function.exact(x)
        _refute(name, x, compiled(x), right, figures)
        values += x.size
    return values


def _refute(
    name: str,
    x: NDArray[np.float32],
    got: NDArray[np.float32],
    right: NDArray[np.float32],
    figures: Mapping[str, Any],
) -> None:
    """Raise `Refuted` if results have other bits than the right ones."""
    wrong = np.flatnonzero(got.view(np.uint32) != right.view(np.uint32))
    if wrong.size:
        i = int(wrong[0])
        raise Refuted(
            f"{name} of {x[i]!r} (bits {x.view(np.uint32)[i]:08x}) is {got[i]!r}. "
            f"Expected: {right[i]!r}. {wrong.size} of these {x.size} numbers differ.",
            figures,
        )


def _blocks(signs: tuple[int, ...], every: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield all finite float32, zeros and denormals too, or every n-th block of them."""
    for sign in signs:
        for number, begin in enumerate(range(0, _INFINITE, _BLOCK)):
            if (number - seed) % every == 0:
                end = min(begin + _BLOCK, _INFINITE)
                bits = np.arange(begin, end, dtype=np.uint32) | np.uint32(sign)
                yield bits.view(np.float32)
