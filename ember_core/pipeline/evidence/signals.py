"""Signals and statistics of a channel, their places and their names."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

TIME_CONSTANTS: Final = (1.0, 5.0, 30.0, 120.0)
"""Half-lives of the moving averages, in usual intervals; 1 stands for the row itself."""
OWN_TIME_CONSTANTS: Final = TIME_CONSTANTS[:3]
"""Those of the part that the other channels do not share."""
SPREAD_HALF_LIFE: Final = 30.0
"""Half-life of the mean change from row to row, in usual intervals."""
AVERAGED: Final = len(TIME_CONSTANTS)
OWN_PARTS: Final = len(OWN_TIME_CONSTANTS)
SIGNALS: Final = AVERAGED + 1 + OWN_PARTS
"""Signals with a sign: the departure at each time constant, its jump, and its own part."""
STATISTICS: Final = 2 * SIGNALS + 2
"""Statistics of a channel: each signal above and below the usual one, the frozen value, and the
spread: the mean change from row to row, which noise raises."""
MEANS: Final = AVERAGED
"""Moving averages of a departure in the state: the last one is the spread."""
SPREAD: Final = MEANS - 1
"""Place of the spread among them."""
JUMP_FROM: Final = 1
"""Place of the average of 30 rows, from which a jump counts."""
SLOW: Final = {2: 1, 3: 1, SIGNALS - 1: SIGNALS - 2}
"""Places of the slow signals, and of the one of 5 rows beside each."""


class Sides(NamedTuple):
    """Severities of channels by the side of their statistics, `(N, C)` each.

    Attributes:
        above: Severity above, by all statistics but the slow averages.
        below: Severity below, by the same.
        slow_above: Severity of slow averages above: they stay high for hours after their cause.
        slow_below: Severity of slow averages below.
        frozen: Severity of equal values.
        spread: Severity of the spread, which has no side, and is slow as well.
    """

    above: Any
    below: Any
    slow_above: Any
    slow_below: Any
    frozen: Any
    spread: Any


def by_side(severity: Any, n_channels: int) -> Sides:
    """Return the largest severities of each channel by the side of its statistics.

    Args:
        severity: Severity of each statistic of rows, `(N, 18 C)`.
        n_channels: Number of channels `C`.
    """
    moving = severity[:, : -2 * n_channels].reshape(-1, SIGNALS, n_channels, 2)
    is_slow = np.isin(np.arange(SIGNALS), list(SLOW))
    quick, slow = (moving[:, places].max(axis=1) for places in (~is_slow, is_slow))
    frozen, spread = severity[:, -2 * n_channels : -n_channels], severity[:, -n_channels:]
    return Sides(quick[..., 0], quick[..., 1], slow[..., 0], slow[..., 1], frozen, spread)


def statistic_name(severity: Any, channel: int, n_channels: int) -> str:
    """Return in words which statistic of a channel is the most severe in a row.

    Args:
        severity: Severity of each statistic of the row, `(18 C,)`.
        channel: The channel.
        n_channels: Number of channels `C`.
    """
    moving = severity[: -2 * n_channels].reshape(SIGNALS, n_channels, 2)[:, channel]
    frozen, spread = severity[-2 * n_channels + channel], severity[-n_channels + channel]
    if frozen > max(moving.max(), spread):
        return "the same value for too long"
    if spread > moving.max():
        return "more noise than usual"
    signal, sign = divmod(int(moving.argmax()), 2)
    side = "below" if sign else "above"
    if signal == AVERAGED:
        return f"a sudden change, {side} the last {int(TIME_CONSTANTS[2])} rows"
    if signal > AVERAGED:
        rows = int(OWN_TIME_CONSTANTS[signal - AVERAGED - 1])
        span = "" if rows == 1 else f" over {rows} rows"
        return f"{side} the value that goes with its other channels{span}"
    rows = int(TIME_CONSTANTS[signal])
    return f"{side} its usual range" if rows == 1 else f"{side} it over {rows} rows"
