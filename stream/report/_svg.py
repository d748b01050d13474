"""SVG drawing: compact paths from series of any length."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ember_core.plots.decimation import Floats, decimate_band


@dataclass(frozen=True)
class Scale:
    """Linear map from data to drawing units; values outside the range are clipped to it.

    Args:
        low: Data value at `start`.
        high: Data value at `end`.
        start: Drawing unit of the low end.
        end: Drawing unit of the high end; smaller than `start` for an axis that points up.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, x: Floats) -> Floats:
        """Map data values to drawing units, of the shape of `x`."""
        share = (np.asarray(x, dtype=np.float64) - self.low) / max(self.high - self.low, 1e-300)
        return self.start + np.clip(share, 0.0, 1.0) * (self.end - self.start)

    def ends(self, a: float, b: float) -> tuple[float, float]:
        """Map two values to drawing units."""
        return self.at(a), self.at(b)

    def at(self, x: float) -> float:
        """Map one value to a drawing unit."""
        return float(self(np.asarray([x]))[0])


def line(x: Floats, y: Floats, breaks: NDArray[np.bool_] | None = None) -> str:
    """Return path data through points, interrupted at NaNs and before points in `breaks`."""
    parts: list[str] = []
    pen = "M"
    px = py = 0
    for i, (a, b) in enumerate(zip((10 * x).tolist(), (10 * y).tolist(), strict=True)):
        if b != b:
            pen = "M"
            continue
        if breaks is not None and breaks[i]:
            pen = "M"
        # Relative steps in tenths, from the rounded position: errors do not add up.
        ia, ib = round(a), round(b)
        if pen == "M":
            parts.append(f"M{_tenth(ia)} {_tenth(ib)}l0 0")
            pen = "l"
        else:
            parts.append(f" {_tenth(ia - px)} {_tenth(ib - py)}")
        px, py = ia, ib
    return "".join(parts).replace(" -", "-")


def band_shape(x: Floats, lower: Floats, upper: Floats, y: Scale, columns: int) -> str:
    """Return a band as closed shapes, one for each stretch in which it is known; empty: nowhere.

    Args:
        x: Drawing units, rising, shape `(T,)`.
        lower: Lower bound, `(T,)`; NaN where unknown.
        upper: Upper bound, `(T,)`.
        y: Scale of the bounds.
        columns: Number of columns over the range of `x`.
    """
    px, low, high = decimate_band(x, lower, upper, columns)
    is_known = ~np.isnan(low)
    changes = np.flatnonzero(np.diff(is_known, prepend=False, append=False))
    # A gap of the rows is a gap of the band.
    cuts = sorted({0, len(px), *changes.tolist(), *np.flatnonzero(gaps(px, 6.0)).tolist()})
    shapes = []
    for first, end in pairwise(cuts):
        if is_known[first] and end - first > 1:
            stretch = slice(first, end)
            outline_x = np.concatenate([px[stretch], px[stretch][::-1]])
            outline_y = np.concatenate([high[stretch], low[stretch][::-1]])
            shapes.append(line(outline_x, y(outline_y)) + "z")
    return f'<path class="band" d="{"".join(shapes)}"/>' if shapes else ""


def gaps(x: Floats, least: float) -> NDArray[np.bool_]:
    """Mark points after a gap: ten times the usual distance, and at least `least`."""
    out = np.zeros(len(x), dtype=bool)
    if len(x) > 2:
        step = np.diff(x)
        out[1:] = step > max(least, 10.0 * float(np.median(step)))
    return out


def rect(
    ends: tuple[float, float],
    y: float,
    height: float,
    css: str,
    title: str = "",
    least: float = 1.0,
) -> str:
    """Return a box between two `x`, at least `least` wide; `title` must be escaped."""
    inner = f"><title>{title}</title></rect>" if title else "/>"
    x0, x1 = ends
    width = max(x1 - x0, least)
    return (
        f'<rect class="{css}" x="{x0:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}"{inner}'
    )


def _tenth(n: int) -> str:
    """Format `n / 10` in as few characters as possible."""
    integer, digit = divmod(abs(n), 10)
    text = f"{integer or ''}.{digit}" if digit else str(integer)
    return f"-{text}" if n < 0 else text
