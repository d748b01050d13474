"""Beginnings of a key: on healthy rows, before each fault, amid one, before the scored part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from benchmarks.quality.conditions import kept_of
from ember_core.data.sources import KeyTable
from ember_core.pipeline import FleetModel
from stream.backtest import KeyScores, backtest

from .sets import ColdSet

AGES: Final = (30, 100, 500, 2000)
"""Rows of a key's own when it is looked at."""
_HEALTHY_STARTS: Final = 6
_HEALTHY_ROWS: Final = 4_000
_MOST_FAULTS: Final = 12  # of a key
_BROKEN_ROWS: Final = 40  # a key that begins in a fault has at least so many rows of it
_AFTER: Final = 5  # a trigger so many rows after the last row of a fault is of it

Kind = Literal["healthy", "fault", "broken", "scored"]


@dataclass(frozen=True)
class Beginning:
    """A key from one row on, and what the product said of it.

    Attributes:
        kind: Reason why it begins there.
        age: Rows of its own before the part that counts.
        table: Its records.
        scores: Its scored rows.
        is_joint: The model has joint evidence alone.
    """

    kind: Kind
    age: int
    table: KeyTable
    scores: KeyScores
    is_joint: bool


def begun(
    model: FleetModel, cold_set: ColdSet, k: int, ages: Sequence[int], *, known: bool = False
) -> list[Beginning]:
    """Replay all beginnings of a key.

    Args:
        model: The model.
        cold_set: The set.
        k: Place of the key.
        ages: Rows of its own before the part that counts.
        known: Begin with the key's own first state instead of as a key never seen.
    """
    table = cold_set.dataset.tables[k]
    begun_at = places(table, ages)
    tables = [
        replace(kept_of(table, rows), key=f"{table.key.decode()}@{i}".encode())
        for i, (_, _, rows) in enumerate(begun_at)
    ]
    tables = [replace(t, is_train=np.zeros(len(t.time_us), dtype=np.bool_)) for t in tables]
    if known:
        model = _knowing(model, table.key, [t.key for t in tables])
    data = replace(cold_set.dataset, tables=tuple(tables), divided=False)
    result = backtest(model, data)
    is_joint = model.pipeline.channels is None
    return [
        Beginning(kind, age, t, scores, is_joint)
        for (kind, age, _), t, scores in zip(begun_at, tables, result.scores, strict=True)
    ]


def places(table: KeyTable, ages: Sequence[int]) -> list[tuple[Kind, int, Any]]:
    """Kind, age and row numbers of each beginning."""
    head, n = int(table.is_train.sum()), len(table.time_us)
    rows = min(_HEALTHY_ROWS, head)
    starts = np.unique(np.linspace(0, head - rows, _HEALTHY_STARTS).astype(int)).tolist()
    out: list[tuple[Kind, int, Any]] = [
        ("healthy", 0, np.arange(start, start + rows)) for start in starts
    ]
    spans = fault_spans(table)
    numbers = np.unique(np.linspace(0, len(spans) - 1, min(_MOST_FAULTS, len(spans))).astype(int))
    for i in numbers.tolist():
        first, last = spans[i]
        end = min(last + 1 + _AFTER, n)
        out += [("fault", age, np.arange(first - age, end)) for age in ages if first >= age]
        if last - first + 1 >= _BROKEN_ROWS:
            out.append(("broken", 0, np.arange(first, end)))
    out += [("scored", age, np.arange(max(head - age, 0), n)) for age in ages]
    return out


def fault_spans(table: KeyTable) -> list[tuple[int, int]]:
    """First and last row of each labelled fault."""
    assert table.label is not None
    edges = np.flatnonzero(np.diff(np.r_[0, (table.label > 0).astype(np.int8), 0]))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _knowing(model: FleetModel, key: bytes, names: Sequence[bytes]) -> FleetModel:
    """The model with a key under many names."""
    row = model.keys.index(key)
    state = {
        name: np.repeat(value[row : row + 1], len(names), axis=0)
        for name, value in model.key_state.items()
    }
    bands = model.bands
    if bands is not None:
        bands = bands._replace(known=np.repeat(bands.known[row : row + 1], len(names), axis=0))
    return replace(model, keys=list(names), key_state=state, pauses=None, bands=bands)
