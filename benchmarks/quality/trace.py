"""Trace of the recurrent part over every record, by the pipeline's own `observe`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.data.sources import Dataset
from ember_core.pipeline import FleetModel
from ember_core.pipeline.fit import Series
from stream.training import history

Floats = NDArray[np.float32]


@dataclass
class Trace:
    """Kept records of one key. `T` records, `V` visible units, `C` channels."""

    time_us: NDArray[np.int64]
    visible: Floats
    """The RBM's visible units, `(T, V)`."""
    z: Floats
    """Normalised record, `(T, C)`."""
    expected: Floats
    """What the liquid network expected of it, `(T, C)`."""


def scored_series(dataset: Dataset) -> list[Series]:
    """The records that are not for training, as the engine takes them."""
    swapped = tuple(replace(table, is_train=~table.is_train) for table in dataset.tables)
    return history(replace(dataset, tables=swapped))


def trace(
    model: FleetModel,
    series: Sequence[Series],
    keep: Sequence[NDArray[np.int64]] | None = None,
) -> list[Trace]:
    """Run series through a model's recurrent part from fresh state, all keys side by side.

    Args:
        model: The model.
        series: One per key.
        keep: Event times to keep of each series; None keeps all records.

    Returns:
        One trace per series, in their order.
    """
    order = sorted(range(len(series)), key=lambda k: -len(series[k].time_us))
    state = _first_state(model, [series[k].key for k in order])
    lengths = np.array([len(series[k].time_us) for k in order])
    wanted_times = None if keep is None else [set(keep[k].tolist()) for k in order]
    kept_rows: list[list[tuple[Any, Any, Any, Any]]] = [[] for _ in order]
    model.pipeline.freeze()
    for t in range(int(lengths[0]) if len(lengths) else 0):
        n = int(np.count_nonzero(lengths > t))
        values = np.stack([series[k].values[t] for k in order[:n]])
        times = np.array([series[k].time_us[t] for k in order[:n]], dtype=np.int64)
        observation = model.pipeline.observe({f: v[:n] for f, v in state.items()}, values, times)
        for name, value in observation.state.items():
            state[name][:n] = value
        for i in range(n):
            if wanted_times is None or int(times[i]) in wanted_times[i]:
                kept_rows[i].append(
                    (times[i], observation.visible[i], observation.z[i], observation.expected[i])
                )
    c, v = len(model.channels), model.pipeline.n_visible
    out: list[Trace | None] = [None] * len(series)
    for key_index, rows in zip(order, kept_rows, strict=True):
        columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
        out[key_index] = Trace(
            np.array(columns[0], dtype=np.int64),
            np.array(columns[1], dtype=np.float32).reshape(-1, v),
            np.array(columns[2], dtype=np.float32).reshape(-1, c),
            np.array(columns[3], dtype=np.float32).reshape(-1, c),
        )
    return [key_trace for key_trace in out if key_trace is not None]


def _first_state(model: FleetModel, keys: list[bytes]) -> dict[str, Any]:
    """First state of each key: what training learnt of it, or that of a key never seen."""
    index = {key: i for i, key in enumerate(model.keys)}
    return {
        name: np.stack(
            [
                model.key_state[name][index[key]] if key in index else model.new_state[name][0]
                for key in keys
            ]
        )
        for name in model.new_state
    }
