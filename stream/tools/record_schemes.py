"""Words of DATA that stand for records: `kafka:TOPIC`, `kcat:FILE` and `prometheus:URL`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ember_core.data.sources import DataOptions, Opener, Source
from stream.settings import Settings

from .log_record import read_dump, read_values
from .prometheus_records import PROMETHEUS, PrometheusRecords, prometheus_settings
from .record_source import RecordReading, RecordSource
from .topic_records import TopicRecords


def record_schemes(
    settings: Callable[[], Settings], reading: RecordReading, options: DataOptions
) -> Mapping[str, Opener]:
    """Return the schemes `kafka:TOPIC`, `kcat:FILE`, `lines:FILE`, `prometheus:URL` of DATA.

    Args:
        settings: Function that loads the settings; called where one of the schemes is used.
        reading: Period, channels and keys to read.
        options: Channels to use and to leave out.
    """

    def topic(address: str, _: DataOptions) -> Source:
        loaded = settings()
        # Those of one key may be in all topics that are joined: they are read as one.
        topics = topics_of(address) or loaded.input.topics
        records = TopicRecords(loaded.kafka, topics, reading.period)
        name = f"topic {', '.join(topics)}"
        return RecordSource(name, records, loaded, options, reading, records.total)

    def dump(address: str, _: DataOptions) -> Source:
        path = Path(address)
        return RecordSource(f"dump {path}", read_dump(path), settings(), options, reading)

    def values(address: str, _: DataOptions) -> Source:
        path = Path(address)
        return RecordSource(f"file {path}", read_values(path), settings(), options, reading)

    def prometheus(address: str, _: DataOptions) -> Source:
        loaded = prometheus_settings(settings())
        interval_seconds = loaded.window.interval_seconds
        records = PrometheusRecords(address, reading.series, interval_seconds, reading.period)
        return RecordSource(records.name, records, loaded, options, reading)

    return {"kafka": topic, "kcat": dump, "lines": values, PROMETHEUS: prometheus}


def topics_of(address: str) -> tuple[str, ...]:
    """Return the topics of an address `TOPIC,TOPIC`."""
    names = (name.strip() for name in address.split(","))
    return tuple(dict.fromkeys(name for name in names if name))
