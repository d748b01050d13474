"""Periods of a model as text."""

from __future__ import annotations

from typing import Any

_UNITS = (("d", 7 * 86_400, 86_400), ("h", 3_600, 3_600), ("min", 60, 60), ("s", 0, 1))
"""Units of a length, each with the length it is used from, and its own, in seconds."""


def period_text(period: dict[str, Any]) -> str:
    """Return a found period with its significance, as training reports it."""
    share = f"explains {100 * period['share']:.0f} % of the variance"
    keys = "" if period["keys"] >= 1 else f" in {100 * period['keys']:.0f} % of the keys"
    return (
        f"{length_text(period['seconds'])} {share}{keys}, "
        f"{period['significance']:.1f} deviations above chance"
    )


def length_text(seconds: float) -> str:
    """Return a length of time in its usual unit: `24 h`, `7 d`, `37 min`."""
    unit, _, size = next(u for u in _UNITS if seconds >= u[1])
    return f"{seconds / size:.4g} {unit}"
