"""Records as they really arrive: some lost, some late by the clock, none for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ember_core.data.sources import Dataset, KeyTable

OUTAGE: Final = 20  # records there, then as many gone
JITTER: Final = 0.45  # of the usual interval, either way: the order of records stays

Kept = Callable[[KeyTable, np.random.Generator], NDArray[np.bool_]]


def lost(share: float) -> Kept:
    """Each record is gone with this probability."""
    return lambda table, rng: rng.random(len(table.time_us)) >= share


def outages(table: KeyTable, rng: np.random.Generator) -> NDArray[np.bool_]:
    """20 records there, 20 gone; where that begins differs by key."""
    begin = int(rng.integers(2 * OUTAGE))
    present: NDArray[np.bool_] = (np.arange(len(table.time_us)) + begin) % (2 * OUTAGE) < OUTAGE
    return present


def thinned(dataset: Dataset, kept: Kept, seed: int) -> Dataset:
    """Remove lost rows from the data, in the training part as in the scored one."""
    rng = np.random.default_rng([seed, 20])
    return replace(dataset, tables=tuple(kept_of(t, kept(t, rng)) for t in dataset.tables))


def jittered(dataset: Dataset, seed: int) -> Dataset:
    """The same records, each with its time off by up to 45 % of the usual interval."""
    rng = np.random.default_rng([seed, 21])
    tables = []
    for table in dataset.tables:
        usual = float(np.median(np.diff(table.time_us)))
        jitter = rng.uniform(-JITTER, JITTER, len(table.time_us)) * usual
        tables.append(replace(table, time_us=table.time_us + jitter.astype(np.int64)))
    return replace(dataset, tables=tuple(tables))


CONDITIONS: Final[dict[str, Callable[[Dataset, int], Dataset]]] = {
    "20 % lost": lambda data, seed: thinned(data, lost(0.2), seed),
    "half lost": lambda data, seed: thinned(data, lost(0.5), seed),
    "outages": lambda data, seed: thinned(data, outages, seed),
    "jittered clock": jittered,
}


def kept_of(table: KeyTable, kept: NDArray[Any]) -> KeyTable:
    """The records of a key that are kept: a mask, or their numbers."""
    return replace(
        table,
        time_us=table.time_us[kept],
        time_text=None if table.time_text is None else table.time_text[kept],
        values=table.values[kept],
        is_train=table.is_train[kept],
        label=None if table.label is None else table.label[kept],
    )
