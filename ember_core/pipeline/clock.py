"""Time of day as sines and cosines, where the data has a period."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops

from .observation import Observation
from .stage import Stage, State

NEARLY = 0.8  # share of the largest correlation at which an earlier peak is the period


class Clock(Stage):
    """`sin(2 pi k t / P)` and `cos(2 pi k t / P)` for each period `P` and harmonic `k`.

    Args:
        periods_seconds: Periods found in training; none gives no columns.
        harmonics: Harmonics of each period.
    """

    def __init__(self, periods_seconds: tuple[float, ...] = (), harmonics: int = 2) -> None:
        super().__init__()
        self.periods_seconds = tuple(float(p) for p in periods_seconds)
        self.harmonics = harmonics
        self.n_features = 2 * harmonics * len(self.periods_seconds)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {"periods_seconds": list(self.periods_seconds), "harmonics": self.harmonics}

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Add the clock features of the rows; the input passes unchanged."""
        observation.clock = self.features(observation.time_us)
        return {}, x

    def features(self, time_us: Any) -> Any:
        """Return the clock features of event times.

        Args:
            time_us: Event times, shape `(B,)`, int64 microseconds since the epoch.

        Returns:
            float32 of shape `(B, 2 * harmonics * len(periods_seconds))`.
        """
        columns = []
        for period in self.periods_seconds:
            period_us = max(1, round(period * 1e6))
            phase = ops.astype(time_us % period_us, "float64") * (2.0 * np.pi / period_us)
            for k in range(1, self.harmonics + 1):
                columns += [ops.sin(k * phase), ops.cos(k * phase)]
        if not columns:
            return ops.astype(time_us[:, None][:, :0], "float32")
        return ops.astype(ops.stack(columns, axis=1), "float32")


def find_period(series: Any, minimum: int = 8, strength: float = 0.3) -> float | None:
    """Find the dominant period of a group of evenly sampled series, in rows.

    A periodic group correlates with itself at every multiple of its period, so the largest peak
    of the mean autocorrelation may be a multiple: the period is the first peak that comes near
    the largest. It counts when its correlation reaches `strength`, twice the period correlates
    too, it stands above the autocorrelation half a period away, and at least four cycles fit in.
    The multiples then sharpen it: a clock that runs one row a day wrong is useless in a month.

    Args:
        series: Shape `(T, K)`: standardised series, NaN-free.
        minimum: Shortest period looked for, in rows.
        strength: Smallest autocorrelation at the peak.

    Returns:
        The period in rows, to a fraction of a row, or None where there is none.
    """
    x = np.asarray(series, dtype=np.float64)
    n = x.shape[0]
    if n < 4 * minimum or x.shape[1] == 0:
        return None
    mean = _autocorrelation(x)
    if mean is None:
        return None
    limit = n // 4  # a random walk has its false peaks where few cycles fit in
    negative = np.flatnonzero(mean[:limit] < 0)
    start = max(minimum, int(negative[0])) if negative.size else limit
    if start >= limit:
        return None
    peak = start + int(np.argmax(mean[start:limit]))
    if mean[peak] < strength:
        return None
    for shorter in range(peak // start, 1, -1):
        candidate = _top(mean, peak / shorter, 0.05)
        if candidate >= start and mean[candidate] >= NEARLY * mean[peak]:
            peak = candidate
            break
    twice = mean[_top(mean, 2.0 * peak, 0.05)]
    if mean[peak] - mean[peak // 2] < strength or twice < 0.5 * strength:
        return None
    period = float(peak)
    for cycles in range(2, limit // peak + 1):
        period = _top(mean, cycles * period, 0.1 / cycles) / cycles
    return period


def _top(correlation: Any, lag: float, share: float) -> int:
    """Return the lag of the largest correlation within `share` of a lag."""
    lo = int(lag * (1.0 - share))
    return lo + int(np.argmax(correlation[lo : int(lag * (1.0 + share)) + 2]))


def _autocorrelation(x: Any) -> Any:
    """Return the mean autocorrelation of the detrended series that move, `(T,)`, or None."""
    n = x.shape[0]
    # the trend would hide the period behind a slowly falling autocorrelation
    total = np.cumsum(np.vstack([np.zeros((1, x.shape[1])), x]), axis=0)
    half = max(3, n // 3) // 2
    lo, hi = np.maximum(np.arange(n) - half, 0), np.minimum(np.arange(n) + half + 1, n)
    x = x - (total[hi] - total[lo]) / (hi - lo)[:, None]
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(x, size, axis=0)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, size, axis=0)[:n]
    alive = correlation[0] > 1e-9
    if not alive.any():
        return None
    unbiased = correlation[:, alive] / correlation[0, alive] * (n / (n - np.arange(n)))[:, None]
    return unbiased.mean(axis=1)
