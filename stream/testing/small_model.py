"""Small model and simulated telemetry, for tests that need a trained bundle within a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ember_core.pipeline import FleetModel

END_SECONDS = 1_767_225_600.0  # 2026-01-01T00:00:00Z

QUIET_ROWS = 64
"""First rows of a key without events, while the windows of `small_model` fill."""

_NOISE = 0.1


def simulate_rows(channels: int, rows: int, *, seed: int = 0) -> NDArray[np.float64]:
    """Simulate healthy telemetry: a slow wave around 5 in every channel, and noise.

    Args:
        channels: Number of channels, C.
        rows: Number of rows, T.
        seed: Seed of the noise; other seeds give other keys of one fleet.

    Returns:
        Values, shape (T, C); standard deviation of the noise 0.1, of the wave up to 0.7.

    Examples:
        >>> simulate_rows(2, 3).shape
        (3, 2)
    """
    import numpy as np

    # The same wave for all channels, in other sizes: they depend on each other, as real ones do.
    wave = np.sin(np.arange(rows) / 7.0)[:, None] / np.arange(1, channels + 1)
    noise = np.random.default_rng(seed).standard_normal((rows, channels))
    return 5.0 + wave + _NOISE * noise


def small_model(
    channels: Sequence[str],
    keys: Sequence[str] = ("machine-1", "machine-2"),
    *,
    rows: int = 600,
    interval_seconds: float = 10.0,
    end_seconds: float = END_SECONDS,
) -> FleetModel:
    """Train a small model on `simulate_rows`, one series for every key; takes some two seconds.

    A key publishes nothing for its first 64 rows, while its windows fill.

    Args:
        channels: Names of the channels.
        keys: Stream keys of the history; the model knows them, so that they need no warm-up.
        rows: Number of rows of each key.
        interval_seconds: Time between two rows, in seconds.
        end_seconds: Time of the last row, in seconds since the epoch. Default:
            2026-01-01T00:00:00Z, so that every call trains the same model.

    Returns:
        The model; `save(folder)` writes its bundle.
    """
    import numpy as np

    from ember_core.pipeline import PipelineConfig
    from ember_core.pipeline.fit import Series, fit_pipeline

    seconds_before_end = interval_seconds * np.arange(rows)[::-1]
    time_us = np.round(1e6 * (end_seconds - seconds_before_end)).astype(np.int64)
    history = [
        Series(key.encode(), time_us, simulate_rows(len(channels), rows, seed=seed))
        for seed, key in enumerate(keys)
    ]
    config = PipelineConfig(tuple(channels), hidden=13, rbm_hidden=11)
    model = fit_pipeline(history, config, epochs=3)
    # The defaults suit weeks of history: with a few hundred rows no key would ever fire.
    return model.configure(warmup_score=rows // 2, warmup_alarm=rows // 2, quiet_rows=QUIET_ROWS)
