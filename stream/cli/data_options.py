"""Options of the commands that read recorded telemetry; apart, because they import NumPy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from ember_core.data.sources import DataOptions as DataOptions
from ember_core.data.sources import Dataset, read
from stream.errors import UserError
from stream.settings import Settings
from stream.tools.record_source import ALL_RECORDS, RecordReading, record_schemes
from stream.tools.topic_records import Period

from .options import since_ms
from .reading_progress import reading_progress

DataFiles = Annotated[list[str], Parameter(required=True)]
DataArgs = Annotated[DataOptions, Parameter(name="*")]


def read_data(
    data: Sequence[str],
    options: DataOptions,
    settings: Callable[[], Settings],
    reading: RecordReading = ALL_RECORDS,
    *,
    dumps: bool = False,
) -> Dataset:
    """Read DATA, topics (`kafka:TOPIC`) and dumps of them (`kcat:FILE`) among it.

    Args:
        data: Files, queries, topics and dumps.
        options: Columns and rows of the files; channels of the records.
        settings: Function that loads the settings, which say how a record is read.
        reading: Period, channels and keys to read of topics and dumps.
        dumps: True where files are dumps, also without `kcat:` before their names.

    Raises:
        DataError: If something cannot be read as asked.
        UserError: If the cluster or the settings cannot be used.
    """
    with reading_progress() as progress:
        schemes = record_schemes(settings, replace(reading, progress=progress), options)
        if dumps:
            data = [item if has_scheme(item, schemes) else f"kcat:{item}" for item in data]
        if any(has_scheme(item, schemes) for item in data):
            # Patterns choose among the channels of records; the names of columns are as given.
            table_options = replace(options, channels=(), drop=())
            return read(data, table_options, schemes=schemes, on_disk=True)
        return read(data, options)


def has_scheme(item: str, schemes: Collection[str]) -> bool:
    """Tell if an argument begins with one of the schemes and a colon."""
    scheme, colon, _ = item.partition(":")
    return bool(colon) and scheme in schemes


def period_of(since: str | None, until: str | None) -> Period:
    """Return the period of `--since` and `--until`.

    Raises:
        UserError: If one is no time, or the end lies before the beginning.
    """
    period = Period(since_ms(since), since_ms(until, "until"))
    if None not in period and period.since_ms >= period.until_ms:  # type: ignore[operator]
        raise UserError(
            "No record can lie in this period. Expected --until after --since. "
            f"Received: --since {since} --until {until}.",
            exit_code=2,
        )
    return period
