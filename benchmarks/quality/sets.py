"""The labelled sets: how each is read, and what of it is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.frame import BenchmarkError
from ember_core.data.sources import DataError, DataOptions, Dataset, read

SHARED: Final = Path(__file__).resolve().parents[3] / "shared" / "data"


@dataclass(frozen=True)
class Family:
    """A set of keys of one kind.

    Attributes:
        name: Its name, and that of its folder.
        folder: Where the files lie, below the data.
        options: How they are read, as `ember train` and `ember backtest` take them.
        buffer: Largest buffer of VUS-PR, in records.
        sampling_seconds: What really lies between two records.
        recorded_seconds: Seconds between records by their times; a record number is a minute.
    """

    name: str
    folder: str
    options: DataOptions
    buffer: int
    sampling_seconds: float
    recorded_seconds: float

    @property
    def records_a_day(self) -> float:
        """Records of one key in a day."""
        return 86_400.0 / self.sampling_seconds

    @property
    def time_factor(self) -> float:
        """Real seconds in a second of the records' times."""
        return self.sampling_seconds / self.recorded_seconds


_NUMBERED: Final = DataOptions(time="t", time_unit="index", split="split", label="label")
_DATED: Final = DataOptions(time="timestamp", split="split", label="label")
WEEK_US: Final = 7 * 86_400 * 1_000_000

FAMILIES: Final = {
    family.name: family
    for family in (
        Family("smd", "smd", _NUMBERED, buffer=100, sampling_seconds=60.0, recorded_seconds=60.0),
        Family("smd2", "smd2", _NUMBERED, buffer=100, sampling_seconds=60.0, recorded_seconds=60.0),
        Family("asd", "asd", _NUMBERED, buffer=20, sampling_seconds=300.0, recorded_seconds=60.0),
        Family(
            "skab",
            "skab/valve1",
            DataOptions(
                time="datetime", label="anomaly", drop=("changepoint",), train_head="400", sep=";"
            ),
            buffer=60,
            sampling_seconds=1.0,
            recorded_seconds=1.0,
        ),
        Family("gecco", "gecco", _DATED, buffer=100, sampling_seconds=60.0, recorded_seconds=60.0),
        Family("mscloud", "mscloud", _DATED, 100, sampling_seconds=60.0, recorded_seconds=60.0),
        Family("kpi", "kpi", _DATED, buffer=100, sampling_seconds=60.0, recorded_seconds=60.0),
    )
}


def load(family: Family, data: Path = SHARED) -> Dataset:
    """All keys of a set.

    Raises:
        BenchmarkError: If it cannot be read.
    """
    folder = data / family.folder
    if not folder.is_dir():
        raise BenchmarkError(
            f"the set {family.name} is not there. Expected a folder. Received: {folder}"
        )
    try:
        dataset = read([folder], family.options)
    except DataError as error:
        raise BenchmarkError(str(error)) from error
    return side_by_side(dataset) if family.options.time == "timestamp" else dataset


def side_by_side(dataset: Dataset) -> Dataset:
    """The same data, each key moved by whole weeks so that all run at one time, as on a topic.

    Hours and days of the week stay; a key's scores do not depend on the others in any case.
    """
    tables = tuple(
        replace(t, time_us=t.time_us - t.time_us[0] // WEEK_US * WEEK_US) for t in dataset.tables
    )
    return replace(dataset, tables=tables)


@dataclass(frozen=True)
class Interpretation:
    """A labelled event of the test part and the channels that were at fault.

    Attributes:
        start: First record, counted in the test part.
        last: Last record, where the set counts it in; the files differ, so look at labels too.
        channels: Places of the channels, from 0.
    """

    start: int
    last: int
    channels: frozenset[int]


def interpretations(family: Family, data: Path = SHARED) -> dict[str, list[Interpretation]]:
    """True channels of each labelled event per key, where the set has them."""
    folder = data / family.folder / "interpretation_label"
    return {
        path.stem: [_interpretation(line) for line in path.read_text().splitlines() if line.strip()]
        for path in sorted(folder.glob("*.txt"))
    }


def _interpretation(line: str) -> Interpretation:
    """`start-end:1,4,7`, channels counted from 1."""
    span, _, channels = line.partition(":")
    start, _, last = span.partition("-")
    true_channels = frozenset(int(c) - 1 for c in channels.split(","))
    return Interpretation(int(start), int(last), true_channels)


def divided_at(dataset: Dataset, heads: list[int]) -> Dataset:
    """The same records, the first `heads[k]` of each key to train on."""
    tables = tuple(
        replace(table, is_train=np.arange(len(table.time_us)) < head)
        for table, head in zip(dataset.tables, heads, strict=True)
    )
    return replace(dataset, tables=tables, divided=True)


def only(dataset: Dataset, keys: list[int]) -> Dataset:
    """The same data with some of the keys."""
    return replace(dataset, tables=tuple(dataset.tables[k] for k in keys))
