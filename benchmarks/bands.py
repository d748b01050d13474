"""Coverage of the usual bands: the share of usual rows that lie between their bounds.

Each set is trained and scored as a user does it. Rows that a label or a planted fault marks are
left out. Beside the band that is shipped stand others that were tried, on the same departures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.markdown import table
from benchmarks.ordinary.variants import VARIANTS, make
from benchmarks.paging.fleet import Fleet
from benchmarks.quality.sets import FAMILIES, load
from ember_core.data.sources import Dataset, KeyTable
from ember_core.pipeline import COVERAGE, FleetModel, bands
from stream.backtest import backtest
from stream.engine import DetailedScores, Limits
from stream.training import train

SETS: Final = ("asd", "smd", "smd2", "ordinary")
WITHIN: Final = 0.02
"""Difference from the stated share that a channel may have."""
_RESTING: Final = 0.05
_VARIANT: Final = "five_minutes"
BANDS: Final = ("as shipped", "quantiles of the history", "normal noise")
"""The band of the service; the one that it begins with, standing still; and that of noise."""


class Rows(NamedTuple):
    """Scored rows of one key that nothing marks, `n` rows of `C` channels.

    Attributes:
        inside: Whether each value lies within its band, `(n, C)`.
        present: Whether there is a value and a band, `(n, C)`.
        moving: Channels of which more than 5 % of the rows differ from the usual value, `(C,)`.
    """

    inside: NDArray[np.bool_]
    present: NDArray[np.bool_]
    moving: NDArray[np.bool_]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The sets that are measured."""
    parser.add_argument("--sets", nargs="*", choices=SETS, default=["asd", "smd", "ordinary"])
    parser.add_argument("--seed", type=int, default=101, help="seed of the generated fleet")
    parser.add_argument("--keys", type=int, default=0, help="most keys of a set; 0: all")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        `coverage` as stated, and by set: `keys`, `channels`, and the figures of each band.
    """
    results = {}
    for name in options.sets:
        data = _dataset(name, options.seed)
        if options.keys:
            data = replace(data, tables=data.tables[: options.keys])
        log_progress(f"{name}: training on {len(data.tables)} keys")
        model = train(data, seed=0)
        results[name] = {
            "keys": len(data.tables),
            "channels": len(model.channels),
            "evidence": model.pipeline.config.evidence,
            "bands": {band: _measured(band, model, data) for band in BANDS},
        }
    return {"coverage": COVERAGE, "within": WITHIN, "sets": results}


def _dataset(name: str, seed: int) -> Dataset:
    return load(FAMILIES[name]) if name in FAMILIES else _as_dataset(make(_VARIANT, seed))


def _as_dataset(fleet: Fleet) -> Dataset:
    """Return a generated fleet, with the rows of its faults labelled."""
    assert fleet.name in VARIANTS
    tables = []
    for series in fleet.keys:
        n = len(series.times_us)
        label = np.zeros(n, dtype=np.int8)
        for fault in series.events:
            label[fault.first : fault.last + 1] = 1
        text = np.zeros(n, dtype=object)
        key = series.key.encode()
        tables.append(KeyTable(key, series.times_us, text, series.values, series.train, label))
    return Dataset(fleet.channels, tuple(tables), divided=True)


def _measured(band: str, model: FleetModel, data: Dataset) -> dict[str, Any]:
    """Return the figures of one kind of band."""
    log_progress(f"  {band}")
    model_bands, step = model.bands, bands.STEP if band == "as shipped" else 0.0
    if band == "normal noise":
        model.bands = bands.bands_of_noise(len(model.keys), len(model.channels))
    with patch.object(bands, "STEP", step):
        replay = backtest(model, data, limits=Limits(detailed=("*",)))
    model.bands = model_bands
    rows = [
        _rows(scores.details, label)
        for key, scores in enumerate(replay.scores)
        if scores.details is not None and (label := replay.labels(key)) is not None
    ]
    if not rows:
        raise BenchmarkError("no row was scored")
    return _figures(rows)


def _rows(details: DetailedScores, label: NDArray[np.int8]) -> Rows:
    rows = details.take(np.flatnonzero(label == 0))
    present = np.isfinite(rows.value) & np.isfinite(rows.usual)
    is_inside = present & (rows.value >= rows.lower) & (rows.value <= rows.upper)
    is_away = present & (np.abs(rows.value - rows.usual) > 0.02 * (rows.upper - rows.lower))
    moving = is_away.sum(axis=0) > _RESTING * np.maximum(present.sum(axis=0), 1)
    return Rows(is_inside, present, moving)


def _figures(rows: Sequence[Rows]) -> dict[str, Any]:
    """Return the coverage of rows, by channel over all keys, and by channel of each key."""
    inside_count = np.array([key_rows.inside.sum(axis=0) for key_rows in rows], float)
    present = np.array([key_rows.present.sum(axis=0) for key_rows in rows], float)
    moving = np.array([key_rows.moving for key_rows in rows]) & (present > 0)
    counted = np.where(moving, present, 0.0)
    with np.errstate(invalid="ignore"):
        by_channel = np.where(moving, inside_count, 0.0).sum(axis=0) / counted.sum(axis=0)
        by_key = (inside_count / present)[moving]
        resting = (inside_count / present)[~moving & (present > 0)]
    by_channel = by_channel[np.isfinite(by_channel)]
    return {
        "rows": int(present.max(axis=1).sum()),
        "mean": _share(np.where(moving, inside_count, 0.0).sum() / counted.sum()),
        "worst_channel": _share(by_channel[np.abs(by_channel - COVERAGE).argmax()]),
        "channels_within": _share((np.abs(by_channel - COVERAGE) <= WITHIN).mean()),
        "worst_of_a_key": _share(by_key[np.abs(by_key - COVERAGE).argmax()]),
        "of_keys_within": _share((np.abs(by_key - COVERAGE) <= WITHIN).mean()),
        "resting": _share(1.0 - moving.sum() / (present > 0).sum()),
        "least_of_resting": _share(resting.min()) if resting.size else None,
    }


def _share(number: float) -> float:
    return round(float(number), 4)


def page(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    rows = [
        [
            name,
            band,
            _percent(figures["mean"]),
            _percent(figures["worst_channel"]),
            _percent(figures["channels_within"]),
            _percent(figures["of_keys_within"]),
        ]
        for name, figures_of in result["sets"].items()
        for band, figures in figures_of["bands"].items()
    ]
    heads = ["set", "band", "mean", "worst channel", "channels within 2 points", "of each key"]
    return table(heads, rows)


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The figures as lines of a terminal."""
    yield from page(result).splitlines()


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
