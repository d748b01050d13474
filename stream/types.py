"""Types that every package of the service uses."""

from __future__ import annotations

from typing import Literal

TP = tuple[str, int]
"""Topic and partition; Faust's `TP` and aiokafka's `TopicPartition` compare equal to it."""

CodecName = Literal[
    "json",
    "influx",
    "telegraf",
    "collectd",
    "prometheus",
    "otlp",
    "otlp_proto",
    "otlp_json",
    "avro",
    "json_schema",
    "protobuf",
]
"""Format of the values of a topic."""

ONE_METRIC_CODECS: frozenset[CodecName] = frozenset(
    ("influx", "telegraf", "collectd", "prometheus", "otlp", "otlp_proto", "otlp_json")
)
"""Codecs of formats that send one metric a record: a row is an interval, not a record."""

KeyFrom = Literal["kafka", "record", "auto"]
"""Origin of the stream key: the Kafka key first, the record only, or the record first."""
