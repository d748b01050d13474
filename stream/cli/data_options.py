"""Options of the commands that read recorded telemetry; apart, because they import NumPy."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ember_core.data.sources import DataOptions as DataOptions
from ember_core.data.sources import Dataset, read
from stream.errors import UserError
from stream.settings import Settings
from stream.tools.prometheus_records import PROMETHEUS, SeriesQuery
from stream.tools.record_schemes import record_schemes
from stream.tools.record_source import ALL_RECORDS, RecordReading
from stream.tools.topic_records import Period
from stream.types import CodecName

from .options import parse_seconds, since_ms
from .reading_progress import reading_progress

_TOPIC = re.compile(r"(?!.*\.(csv|tsv|txt|gz|json|jsonl|ndjson|parquet)$)[A-Za-z0-9._-]+")
"""Name of a topic, and not of a table."""

DataFiles = Annotated[list[str], Parameter(required=True)]
DataArgs = Annotated[DataOptions, Parameter(name="*")]


@dataclass(frozen=True)
class RecordOptions:
    """Records of topics, and series of a Prometheus.

    Attributes:
        since: Oldest record to read, for example 7d. Default: all that Kafka keeps; 14d of a
            Prometheus.
        until: End of the records, for example 1d. Default: the present end.
        query: Series to read from prometheus:URL, as a selector: {job="node"}.
        step: Time between two values of a series, for example 30s. Default:
            window.interval_seconds.
        header: HTTP header for prometheus:URL as NAME: VALUE, such as that of a tenant; may be
            repeated.
    """

    since: str | None = None
    until: str | None = None
    query: str = ""
    step: str = ""
    header: tuple[str, ...] = ()

    def reading(self, *, channels: tuple[str, ...] = (), keys: int = 0) -> RecordReading:
        """Return the records to read.

        Args:
            channels: Channels of a model; empty: those that are found.
            keys: Number of stream keys to choose; 0: all.

        Raises:
            UserError: If a time or a header is not understood, or the end lies before the
                beginning.
        """
        step_seconds = parse_seconds("step", self.step) if self.step else 0.0
        headers = tuple(_header(text) for text in self.header)
        series = SeriesQuery(self.query, step_seconds, headers)
        return RecordReading(self._period(), channels, keys, series=series)

    def _period(self) -> Period:
        period = Period(since_ms(self.since), since_ms(self.until, "until"))
        if None not in period and period.since_ms >= period.until_ms:  # type: ignore[operator]
            raise UserError(
                "No record can lie in this period. Expected --until after --since. "
                f"Received: --since {self.since} --until {self.until}.",
                exit_code=2,
            )
        return period


RecordArgs = Annotated[RecordOptions, Parameter(name="*")]


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not value.strip().isprintable():
        # The value may be a secret.
        raise UserError(
            "The HTTP header is not understood. Expected NAME: VALUE, such as "
            f"'X-Scope-OrgID: team'. Received: --header {name.strip()}.",
            exit_code=2,
        )
    return name.strip(), value.strip()


def codec_of(data: Sequence[str], codec: CodecName | None) -> CodecName | None:
    """Return the codec that the command line says, or else that of the data, where it is known."""
    is_prometheus = any(has_scheme(item, (PROMETHEUS,)) for item in data)
    return "prometheus" if is_prometheus and codec is None else codec


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
        _require_no_records(data, reading)
        return read(data, options)


def _require_no_records(data: Sequence[str], reading: RecordReading) -> None:
    """Refuse files where a topic was meant: its name, or a period of its records.

    Raises:
        UserError: If one was.
    """
    for item in data:
        if _TOPIC.fullmatch(item) and not Path(item).exists():
            raise UserError(
                f"There is no file {item!r}. Expected a file, a folder, a query or a topic. "
                f"Received: {item}. For a topic of that name write kafka:{item}.",
                exit_code=2,
            )
    if reading.period != Period() or reading.series != SeriesQuery():
        raise UserError(
            "Files are read whole. Expected --since, --until, --query, --step and --header with "
            f"kafka:TOPIC or prometheus:URL only. Received: {', '.join(data)}. Leave them out, or "
            "choose rows with --train-head.",
            exit_code=2,
        )


def has_scheme(item: str, schemes: Collection[str]) -> bool:
    """Tell if an argument begins with one of the schemes and a colon."""
    scheme, colon, _ = item.partition(":")
    return bool(colon) and scheme in schemes
