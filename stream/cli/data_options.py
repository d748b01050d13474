"""Options of the commands that read recorded telemetry; apart, because they import NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from ember_core.data.sources import DataOptions as DataOptions
from ember_core.data.sources import Dataset, read
from stream.settings import Settings
from stream.tools.record_source import record_schemes

DataFiles = Annotated[list[str], Parameter(required=True)]
DataArgs = Annotated[DataOptions, Parameter(name="*")]


def read_data(
    data: Sequence[str],
    options: DataOptions,
    settings: Callable[[], Settings],
    since_ms: int | None = None,
    *,
    dumps: bool = False,
) -> Dataset:
    """Read DATA, topics (`kafka:TOPIC`) and dumps of them (`kcat:FILE`) among it.

    Args:
        data: Files, queries, topics and dumps.
        options: Columns and rows of the files; channels of the records.
        settings: Function that loads the settings, which say how a record is read.
        since_ms: Kafka timestamp of the oldest record of a topic, milliseconds.
        dumps: True where files are dumps, also without `kcat:` before their names.

    Raises:
        DataError: If something cannot be read as asked.
        UserError: If the cluster or the settings cannot be used.
    """
    schemes = record_schemes(settings, since_ms, options)
    if dumps:
        data = [item if item.partition(":")[0] in schemes else f"kcat:{item}" for item in data]
    if any(item.partition(":")[0] in schemes for item in data):
        # Patterns choose among the channels of records; the names of columns are taken as given.
        table_options = replace(options, channels=(), drop=())
        return read(data, table_options, schemes=schemes)
    return read(data, options)
