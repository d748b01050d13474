"""Construction of codecs by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from ember_core.data.cells import Decimal, NumberReader, TimeReader
from stream.errors import UserError
from stream.types import CodecName, KeyFrom

from ._avro import AvroCodec
from ._base import Codec, Reading
from ._channels import contested_channels
from ._collectd import CollectdCodec
from ._framed import FramedCodec
from ._influx import InfluxCodec
from ._json import JsonCodec
from ._json_schema import JsonSchemaCodec
from ._key import KeyExpression, parse_path
from ._measurements import MeasurementCodec
from ._otlp import OtlpCodec
from ._prometheus import PrometheusCodec
from ._protobuf import ProtobufCodec
from ._registry import SchemaRegistry
from ._telegraf import TelegrafCodec
from ._time import TimeUnit

CODECS: tuple[CodecName, ...] = get_args(CodecName)
"""Names that `make_codec` accepts."""

_EXAMPLE_KEYS = {
    "influx": "tags.host",
    "telegraf": "tags.host",
    "collectd": "host",
    "prometheus": "labels.instance",
    "otlp": 'resource["service.name"]',
    "otlp_proto": 'resource["service.name"]',
    "otlp_json": 'resource["service.name"]',
}

_TEXT_TIMES = frozenset(("json", "avro", "json_schema", "protobuf", "telegraf"))

_MEASUREMENT_CODECS: dict[str, type[MeasurementCodec]] = {
    "influx": InfluxCodec,
    "collectd": CollectdCodec,
    "telegraf": TelegrafCodec,
    "prometheus": PrometheusCodec,
}

_FRAMED_CODECS: dict[str, type[FramedCodec]] = {"avro": AvroCodec, "protobuf": ProtobufCodec}


def contested(name: str, channels: Sequence[Sequence[str]]) -> tuple[str, str] | None:
    """Return two channels that a codec of all channels cannot tell apart as those of each set do.

    Args:
        name: One of `CODECS`.
        channels: Channels of each model, none of which has all of them.
    """
    by_labels = name in _MEASUREMENT_CODECS or name.startswith("otlp")
    return contested_channels(channels) if by_labels else None


def make_codec(
    name: str,
    channels: Sequence[str],
    *,
    key: str = "",
    key_from: KeyFrom = "kafka",
    time: str = "ts",
    time_unit: TimeUnit = "auto",
    values: str = "values",
    fields: Mapping[str, str] | None = None,
    records: str = "",
    missing: Sequence[str] = (),
    decimal: Decimal = "",
    time_format: str = "",
    time_zone: str = "",
    max_message_bytes: int = 1_048_576,
    max_key_bytes: int = 512,
    schema_registry_url: str = "",
    schema_registry_username: str = "",
    schema_registry_password: str = "",
    fetch_schema: Callable[[int], Any] | None = None,
    schema_folder: Path | None = None,
) -> Codec:
    """Build a codec for a model's channels.

    Args:
        name: One of `CODECS`; `otlp` accepts protobuf and JSON.
        channels: `C` channel names, in the model's order.
        key: Expression of the stream key where the Kafka key is null, see `KeyExpression`; empty
            refuses such records.
        key_from: Origin of the stream key: `kafka`, `record` or `auto`, see `KeyExpression`.
        time: Path of the event time; empty takes Kafka's timestamp. Like the next ones it is for
            json, json_schema, avro and protobuf; the other formats define theirs.
        time_unit: `auto`, `s`, `ms`, `us`, `ns`, `iso8601` or `excel` (OTLP always has
            nanoseconds).
        values: Object that holds the channels; empty or `.` for the record itself.
        fields: Field name of a channel where it differs.
        missing: Words and numbers that mean "no value", besides those of `ember_core.data.cells`.
        decimal: Decimal sign of numbers in text; empty: a point.
        time_format: Format of times in text; empty: all known forms.
        time_zone: Time zone of times without an offset; empty: UTC.
        records: List that holds the records of a message; empty: none.
        max_message_bytes: Longer values are refused.
        max_key_bytes: Longer stream keys are refused.
        schema_registry_url: URL of the schema registry (avro and protobuf).
        schema_registry_username: User of the registry.
        schema_registry_password: Password of the registry.
        fetch_schema: Function that replaces the registry.
        schema_folder: Folder that keeps schemas for a start without the registry; None keeps none.

    Raises:
        UserError: If the name, the key or the time cannot be used, or a package is missing.
    """
    example = _EXAMPLE_KEYS.get(name, "host")
    expression = KeyExpression(key, example=example, key_from=key_from)
    # The other formats define their numbers and timestamps.
    text_times = name in _TEXT_TIMES
    numbers = NumberReader(decimal if text_times else "", missing)
    times = TimeReader(time_unit, time_format if text_times else "", time_zone)
    reading = Reading(max_message_bytes, max_key_bytes, numbers, times)
    if not channels:
        raise UserError("A codec needs the model's channels. Received: channels=[].")
    if name in _MEASUREMENT_CODECS:
        codec = _MEASUREMENT_CODECS[name]
        return codec(channels, expression, reading)
    if name == "otlp":
        return OtlpCodec(channels, expression, reading)
    if name == "otlp_proto":
        return OtlpCodec(channels, expression, reading, encoding="proto")
    if name == "otlp_json":
        return OtlpCodec(channels, expression, reading, encoding="json")
    shape: dict[str, Any] = {
        "time": parse_path(time, "input.time") if time else (),
        "values": "" if values == "." else values,
        "fields": fields,
        "records": records,
    }
    if name == "json":
        return JsonCodec(channels, expression, reading, **shape)
    if name == "json_schema":
        return JsonSchemaCodec(channels, expression, reading, **shape)
    if name in _FRAMED_CODECS:
        if fetch_schema is None:
            registry = SchemaRegistry(
                schema_registry_url, schema_registry_username, schema_registry_password
            )
            fetch_schema = registry.schema if name == "avro" else registry.protobuf_schema
        if schema_folder is not None:  # each registry has its own numbering of schemas
            schema_folder /= hashlib.sha256(schema_registry_url.encode()).hexdigest()[:16]
        return _FRAMED_CODECS[name](
            channels, expression, reading, fetch=fetch_schema, folder=schema_folder, **shape
        )
    raise UserError(
        f"There is no such codec. Expected one of {', '.join(CODECS)}. Received: "
        f"input.codec={name!r}.",
        exit_code=2,
    )
