"""Forecasts that wait for their row: a ring of slots for each horizon."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops

from .observation import Observation


def renew_forecasts(
    horizons: tuple[int, ...],
    pending: Any,
    start: Any,
    anchor: Any,
    forecasts: Any,
    observation: Observation,
) -> tuple[Any, Any]:
    """Take out the forecasts that are due and put new ones in, one row per key.

    Args:
        horizons: Forecast horizons, in rows.
        pending: Forecasts not yet due, `(K, sum(horizons), C)`.
        start: Slow average before the row, `(K, C)`.
        anchor: Slow average after it, `(K, C)`.
        forecasts: New forecasts, departures from it, `(K, P * C)`.
        observation: Columns of the rows.

    Returns:
        Forecasts due at the row, `(K, P, C)`, and the renewed `pending`.
    """
    c = anchor.shape[1]
    key = ops.arange(anchor.shape[0], like=anchor)
    ring = ops.arange(sum(horizons), like=anchor)
    due, offset, renewed = [], 0, pending
    for i, horizon in enumerate(horizons):
        # Each horizon has a ring of as many slots: the one that is due is the next to fill.
        slot = offset + observation.rows % horizon
        ready = (observation.rows >= horizon)[:, None]
        due.append(ops.where(ready, pending[key, slot], start))
        is_slot = (ring[None, :] == slot[:, None])[:, :, None]
        block = anchor + forecasts[:, i * c : (i + 1) * c]
        renewed = ops.where(is_slot, block[:, None, :], renewed)
        offset += horizon
    return ops.stack(due, axis=1), renewed


def renew_packed_forecasts(
    horizons: tuple[int, ...],
    pending: Any,
    start: Any,
    anchor: Any,
    forecasts: Any,
    observation: Observation,
) -> tuple[Any, Any]:
    """Do as `renew_forecasts` for several rows a key, on NumPy's arrays.

    Args:
        horizons: Forecast horizons, in rows.
        pending: Forecasts not yet due, `(K, sum(horizons), C)`.
        start: Slow average before each key's first row, `(K, C)`.
        anchor: Slow average after each row, `(R, C)`.
        forecasts: New forecasts, departures from it, `(R, P * C)`.
        observation: Columns of the rows.

    Returns:
        Forecasts due at each row, `(R, P, C)`, and the renewed `pending`.
    """
    c, packed, rows = anchor.shape[1], observation.packed, observation.rows
    renewed, previous = pending.copy(), packed.previous(start, anchor)
    rows_to_come = packed.step[packed.last_rows][packed.key] - packed.step
    due, offset = [], 0
    for i, horizon in enumerate(horizons):
        block = anchor + forecasts[:, i * c : (i + 1) * c]
        slot = offset + rows % horizon
        # A key's first rows take forecasts from before the batch, the others from inside it.
        earlier = packed.earlier(horizon)
        n_first = len(rows) - len(earlier)
        stored = pending[packed.key[:n_first], slot[:n_first]]
        ready = (rows >= horizon)[:, None]
        due.append(np.where(ready, np.concatenate([stored, block[earlier]]), previous))
        stays = rows_to_come < horizon
        renewed[packed.key[stays], slot[stays]] = block[stays]
        offset += horizon
    return np.stack(due, axis=1), renewed
