"""Choice of the codec: each is tried on the sample, and the best one is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stream.cli.doctor.evidence import Evidence, Record
from stream.codecs import FieldFinder, RegistryUnavailable, guess_format
from stream.errors import UserError
from stream.settings import InputSection, Settings, WindowSection
from stream.types import ONE_METRIC_CODECS, CodecName

from .shape import find_shape
from .source import Sample
from .times import TimeField

_TRIED: Final = 300
"""Records that each codec is tried on."""
_MEASURED: Final[tuple[CodecName, ...]] = ("otlp", "telegraf", "prometheus", "collectd", "influx")
_WITH_REGISTRY: Final[tuple[CodecName, ...]] = ("avro", "protobuf")
_AS_GOOD: Final = 0.9
"""Part of another codec's records by which a codec of a certain program is preferred."""
_SHAPED_BYTES: Final = 256 * 1024
"""Bytes of the records that a shape is found in; more than a few such are enough."""
_FEWEST: Final = 5
_ALL_ONE_KEY: Final[dict[str, Any]] = {"key": '"all"', "key_from": "record"}


@dataclass(frozen=True)
class Attempt:
    """Outcome of a codec on the sample.

    Attributes:
        codec: Name of the codec.
        share: Share of the records that it gives samples of.
        settings: Further settings of `[input]` for it.
        time: Event time, where the settings choose it.
    """

    codec: CodecName
    share: float
    settings: dict[str, str] = field(default_factory=dict)
    time: TimeField | None = None


@dataclass(frozen=True)
class Format:
    """Codec of the records, and the next best.

    Attributes:
        chosen: Codec that is taken.
        second: Next best; None where no other reads a record.
        tried: Number of records.
    """

    chosen: Attempt
    second: Attempt | None
    tried: int

    @property
    def reason(self) -> str:
        """Reason of the choice, in words."""
        text = f"reads {_percent(self.chosen.share)} of {self.tried:,} records"
        if self.second is None:
            return f"{text}; no other codec reads any"
        return f"{text}; next best is {self.second.codec}, {_percent(self.second.share)}"


def _percent(share: float) -> str:
    # Not all is never 100 %, and not none never 0 %.
    percent = 100 * share
    return f"{min(max(percent, 1), 99) if 0 < share < 1 else percent:.0f} %"


def choose_format(
    sample: Sample,
    settings: Settings,
    *,
    codec: CodecName | None = None,
    time: str = "",
    zone: str = "",
) -> Format:
    """Try the codecs on the newest records.

    Args:
        sample: Records of the source.
        settings: Section `input`, for the schema registry.
        codec: Codec to take; None: the best.
        time: Field of the event time to take; empty: the likeliest.
        zone: Time zone of times without an offset.

    Raises:
        UserError: If no codec reads the records.
    """
    records = [record for record in sample.records if record.value][-_TRIED:]
    # Either codec of JSON reads the other's records, or none of them.
    framed = 2 * sum((r.value or b"")[:1] == b"\x00" for r in records) > len(records)
    json: CodecName = "json_schema" if framed else "json"
    names: tuple[CodecName, ...] = (codec,) if codec else (*_MEASURED, json)
    if not codec and settings.input.schema_registry_url:
        names += _WITH_REGISTRY
    attempts = [_attempt(name, records, sample, settings, time, zone) for name in names]
    attempts = sorted(
        (attempt for attempt in attempts if attempt.share > 0), key=lambda a: -a.share
    )
    if not attempts:
        raise UserError(_nothing(sample, records, settings, codec))
    best = attempts[0]
    measured = [a for a in attempts if a.codec in _MEASURED]
    # JSON of a program is JSON too, but only its own codec knows the metrics in it.
    if measured and measured[0].share >= _AS_GOOD * best.share:
        best = measured[0]
    _require_time(best, time)
    remaining = [attempt for attempt in attempts if attempt is not best]
    return Format(best, remaining[0] if remaining else None, len(records))


def _require_time(chosen: Attempt, time: str) -> None:
    """Refuse a field of the time that the records do not have, or have no choice of."""
    if not time or (chosen.time is not None and chosen.time.path):
        return
    if chosen.time is None:
        problem = f"The codec {chosen.codec} knows the time of its records itself"
        raise UserError(f"{problem}. Expected no --time. Received: --time {time}.", exit_code=2)
    raise UserError(
        f"The records have no field {time!r} that is a time. Expected a field of nearly all "
        f"records. Received: --time {time}."
    )


def _attempt(
    name: CodecName,
    records: Sequence[Record],
    sample: Sample,
    settings: Settings,
    time: str,
    zone: str,
) -> Attempt:
    """Return the share of records that a codec reads."""
    options: dict[str, str] = {}
    time_field: TimeField | None = None
    try:
        if name not in ONE_METRIC_CODECS:
            records = _newest_small(records)
            finder = FieldFinder(name, **{**settings.input.codec_options(), "time": ""})
            stamps = [r.timestamp if sample.kind != "values" else 0 for r in records]
            shape = find_shape(list(finder.records(records)), stamps, time=time, zone=zone)
            if shape is None:
                return Attempt(name, 0.0)
            options, time_field = shape.settings, shape.time
        evidence = with_input(settings, sample, records, codec=name, **options)
        channels = evidence.find_channels(**_ALL_ONE_KEY)
        reading = evidence.read(channels, **_ALL_ONE_KEY)
    except RegistryUnavailable:
        return Attempt(name, 0.0)
    if not channels:
        return Attempt(name, 0.0)
    read = len(set(reading.decoded.message.tolist()))
    return Attempt(name, read / max(1, len(reading.records)), options, time_field)


def _newest_small(records: Sequence[Record]) -> Sequence[Record]:
    """Return the newest records up to a size: of large documents every member is a field."""
    size = 0
    for number, record in enumerate(reversed(records)):
        size += len(record.value or b"")
        if size > _SHAPED_BYTES and number >= _FEWEST:
            return records[len(records) - number :]
    return records


def with_input(
    settings: Settings, sample: Sample, records: Sequence[Record], /, **changes: Any
) -> Evidence:
    """Return evidence of these records, read by other settings of `[input]`.

    Args:
        settings: Settings to begin with.
        sample: Source of the records.
        records: The records.
        **changes: Settings of `[input]`.
    """
    source = settings.input
    registry = {name: getattr(source, name) for name in source.model_fields_set & _REGISTRY}
    section = InputSection(topics=(sample.topic or "telemetry",), **{**registry, **changes})
    # As the loader of the settings does: the codec decides.
    is_one_metric = section.codec in ONE_METRIC_CODECS
    sections = {
        "input": section,
        "window": WindowSection(mode="time" if is_one_metric else "count"),
    }
    changed = settings.model_copy(update=sections)
    newest_ms = max((record.timestamp for record in records), default=0)
    return Evidence(changed, sample.name, records, None, newest_ms)


_REGISTRY: Final = {
    *("schema_registry_url", "schema_registry_username"),
    *("schema_registry_password", "schema_registry_password_file"),
}


def _nothing(
    sample: Sample, records: Sequence[Record], settings: Settings, codec: str | None
) -> str:
    """Return the sentence for records that no codec reads."""
    guess = guess_format(record.value for record in records)
    example = bytes((records[-1].value or b"")[:40]) if records else b""
    received = f"Received: {len(records)} records such as {example!r}."
    problem = (
        f"The codec {codec} reads none of the records" if codec else "No codec reads the records"
    )
    expected = "Expected JSON, line protocol, Telegraf, collectd, Prometheus, OTLP, or Avro, JSON "
    expected += "Schema or protobuf with a schema registry."
    fix = "Look at a record, and at the format that its program writes."
    if guess is not None and guess.codec is None:
        fix = f"The values are {guess.name}: let it write plain ones."
    elif guess is not None and guess.codec in _WITH_REGISTRY:
        url = settings.input.schema_registry_url
        fix = f"They look like {guess.name}: "
        fix += f"look whether {url} answers." if url else "name the registry (--registry URL)."
    elif guess is not None and codec and guess.codec != codec:
        fix = f"They look like {guess.name}: leave --codec out, or give {guess.codec}."
    elif guess is not None:
        fix = "They have no number that a channel could be made of."
    return f"{problem} of {sample.name}. {expected} {received} {fix}"
