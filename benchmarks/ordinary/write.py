"""A fleet as files and as a data set, for `ember train` and `ember backtest`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.paging.fleet import Fleet, KeySeries
from ember_core.data.sources import Dataset, KeyTable


def labels(series: KeySeries) -> NDArray[np.int8]:
    """1 for the rows at fault, `(n,)`."""
    out = np.zeros(len(series.times_us), dtype=np.int8)
    for fault in series.events:
        out[fault.first : fault.last + 1] = 1
    return out


def dataset(fleet: Fleet) -> Dataset:
    """The fleet as `ember train` would read it."""
    tables = tuple(
        KeyTable(
            key=series.key.encode(),
            time_us=series.times_us,
            time_text=_texts(series).astype(object),
            values=series.values,
            is_train=series.train,
            label=labels(series),
        )
        for series in fleet.keys
    )
    return Dataset(fleet.channels, tables, divided=True)


def write(fleet: Fleet, folder: Path) -> None:
    """Write a CSV per key, and `faults.json` with the truth.

    Columns: `time`, `split` (`train` or `test`), the channels, `label`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = ",".join(("time", "split", *fleet.channels, "label"))
    for series in fleet.keys:
        split = np.where(series.train, "train", "test").tolist()
        cells = series.values.tolist()
        rows = zip(_texts(series).tolist(), split, cells, labels(series).tolist(), strict=True)
        lines = [head]
        for time, part, values, label in rows:
            texts = ("" if v != v else repr(v) for v in values)
            lines.append(f"{time},{part},{','.join(texts)},{label}")
        (folder / f"{series.key}.csv").write_text("\n".join(lines) + "\n")
    truth = {
        "name": fleet.name,
        "seed": fleet.seed,
        "step_seconds": fleet.step_seconds,
        "zone": fleet.zone,
        "holidays": [day.isoformat() for day in fleet.holidays],
        "new_keys": fleet.new_keys,
        "faults": [
            {
                **asdict(fault),
                "from": str(_texts(series)[fault.first]),
                "to": str(_texts(series)[fault.last]),
            }
            for series in fleet.keys
            for fault in series.events
        ],
    }
    # Beside the folder of data: a reader of the folder takes every file in it for telemetry.
    folder.with_name(folder.name + ".faults.json").write_text(json.dumps(truth, indent=1) + "\n")


def _texts(series: KeySeries) -> NDArray[np.str_]:
    stamps = series.times_us.astype("datetime64[us]").astype("datetime64[ms]")
    return np.char.add(np.datetime_as_string(stamps), "Z")
