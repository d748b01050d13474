"""Records and events, as codecs, engine and Kafka exchange them.

A leaf: it imports nothing of codecs, engine or Kafka. Event times are int64 microseconds since the
epoch (`time_us`); Kafka's own are milliseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 1
"""Version of the event bodies; changes are additive only."""

RESERVED_KEY_PREFIX = b"\x00ember."
"""Keys of Ember's own rows in the changelog; a stream key must not begin with it."""

TIME_MIN_US = -2_208_988_800_000_000
"""1900-01-01T00:00:00Z, the earliest event time accepted."""

TIME_MAX_US = 9_214_646_400_000_000
"""2262-01-01T00:00:00Z, the first event time refused: beyond it nanoseconds overflow int64."""

MAX_ABS_VALUE = 1e150
"""Larger magnitudes are refused: their squares overflow a float64."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # naive, so that isoformat adds no `+00:00`


class Message(Protocol):
    """One Kafka message as the codecs see it; `FetchedRecord` of the Kafka client satisfies it."""

    @property
    def key(self) -> bytes | None:
        """Kafka key."""

    @property
    def value(self) -> bytes | None:
        """Kafka value; None is a tombstone."""

    @property
    def timestamp(self) -> int:
        """Kafka timestamp in milliseconds."""

    @property
    def offset(self) -> int:
        """Offset in its partition."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Kafka headers, in order."""


class Reason(StrEnum):
    """Reason of a refusal: metric label, counter name in the meta row, dead-letter class."""

    NOT_JSON = "not_json"  # or not the format of the codec
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"  # |x| > 1e150
    NO_KEY = "no_key"
    BAD_KEY = "bad_key"  # too long, or reserved
    NO_TIME = "no_time"
    BAD_TIME = "bad_time"
    FUTURE = "future"  # found by the engine, against Kafka's timestamp
    NO_CHANNELS = "no_channels"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    EMPTY = "empty"  # null value
    KEY_LIMIT = "key_limit"  # found by the engine: a new key beyond state.max_keys
    WRONG_PARTITION = "wrong_partition"  # found by the engine: the key's state is in another one


class SourcePosition(NamedTuple):
    """Place of a re-keyed record in the sequence that its writer copied in order.

    Attributes:
        sequence: Name of the source partition, unique over topics made again.
        offset: Offset of the source message.
        number: Number of the record among those of this message.
    """

    sequence: str
    offset: int
    number: int


class Temporality(IntEnum):
    """Time that a value covers, as OpenTelemetry numbers it."""

    GAUGE = 0
    """The moment of the sample; or the format does not say."""
    DELTA = 1
    """The increase since `start_us`; negative only where the sum may fall."""
    CUMULATIVE = 2
    """The total since `start_us`, of a counter that never falls but by a reset."""


class Rejected(NamedTuple):
    """A refused message: its index in the slice, the reason, and a sentence for people."""

    message: int
    reason: Reason
    detail: str


class BadValue(NamedTuple):
    """A value that could not be used: its message, its channel, and the reason.

    The channel is missing in its sample; the rest of the message counts.
    """

    message: int
    channel: str
    reason: Reason


@dataclass(slots=True)
class Decoded:
    """Samples of a slice in columns, in arrival order; several partitions follow one another.

    `n` samples, `C` channels. Every message of the slice is either in `message` (once per sample)
    or in `rejected` (once), never in both and never in neither.
    """

    keys: list[bytes]
    """`(n,)` stream keys."""
    time_us: NDArray[np.int64]
    """`(n,)` event times."""
    values: NDArray[np.float64]
    """`(n, C)` in the model's channel order; NaN: the channel is missing in this sample."""
    message: NDArray[np.int32]
    """`(n,)` index in the slice of the message of each sample, non-decreasing."""
    rejected: list[Rejected]
    """By message index."""
    positions: dict[int, SourcePosition] | None = None
    """By message index, of re-keyed records that may be in their topic twice."""
    temporality: NDArray[np.uint8] | None = None
    """`(n,)` a `Temporality` each; None where the format has none. One cell a sample then."""
    start_us: NDArray[np.int64] | None = None
    """`(n,)` start of the time that a value covers, 0 where unknown; None as for `temporality`."""
    bad_values: list[BadValue] = field(default_factory=list)
    """Values that could not be used, of messages that are not refused; by message index."""

    def __len__(self) -> int:
        return len(self.keys)


class TopChannel(msgspec.Struct, frozen=True):
    """One channel's part in an event; the shares of an event sum to 1."""

    name: str
    value: float | None
    expected: float | None
    share: float
    direction: Literal["above", "below"]
    usual_low: float | msgspec.UnsetType = msgspec.UNSET
    """Lower end of the channel's usual range at this time; only with channel evidence."""
    usual_high: float | msgspec.UnsetType = msgspec.UNSET


class Evidence(msgspec.Struct, frozen=True):
    """Evidence that a page rests on.

    `channel` is the one that led, None where all channels together did. `severity` 2 means that a
    key shows the like once in 100 days. `since` is when it was first raised.
    """

    kind: Literal["channel", "joint"]
    channel: str | None
    statistic: str
    severity: float
    since: str


class LimitReached(msgspec.Struct, frozen=True):
    """Hard limit of a rule, and the value that broke it or is within it again.

    `bound` is None where no rule has such a limit any more. `since` is the event time from which it
    was broken.
    """

    channel: str
    direction: Literal["above", "below"]
    value: float | None
    bound: float | None
    since: str


class ModelRef(msgspec.Struct, frozen=True):
    """Model bundle that scored an event's rows."""

    name: str
    version: str
    sha256: str


class Window(msgspec.Struct, frozen=True):
    """Rows behind an event: times as RFC 3339, `size` in rows, strides in rows."""

    start: str
    end: str
    size: int
    stride: list[int]


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """Common fields of anomalies and triggers, in Alertmanager's vocabulary.

    The order of the fields is that of the JSON. `labels` identify an alert (their hash is
    `fingerprint`), `annotations` explain it (`summary`, `description`). Nothing here may depend on
    the worker, wall time or offsets: a replay sends the same bytes.
    """

    status: Literal["firing", "updated", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str = msgspec.field(name="startsAt")
    ends_at: str | None = msgspec.field(name="endsAt", default=None)
    fingerprint: str
    score: float
    probability: float
    severity: float
    threshold: float
    window: Window
    top_channels: list[TopChannel]
    model: ModelRef
    schema_version: int = SCHEMA_VERSION
    confidence: float | msgspec.UnsetType = msgspec.UNSET
    """Share of its severity that a key new to the model is sure of; none from row 4,096 on."""
    rules: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Rules of operators that changed the judgement of the row, by name."""


class Anomaly(_Body, frozen=True, kw_only=True):
    """One improbable row. `status` is always `firing`; `threshold` is in severity."""


class Trigger(_Body, frozen=True, kw_only=True):
    """The beginning (`firing`) or the end (`resolved`) of an episode, or one that grew (`updated`).

    `threshold` is in evidence, `peak` the largest severity of the episode so far, `rows` its length
    so far. `reason` is its cause: `evidence`, `stale` where the key fell silent, or `returned`
    where it sent again; `channel_missing` where a channel of the key has stopped coming, and
    `channel_returned` where it comes again: `rows` are then those without it. An episode that is
    given up ends with one of the reasons in `stream.given_up`.
    """

    reason: str
    peak: float
    rows: int
    evidence: Evidence | msgspec.UnsetType = msgspec.UNSET
    """Only on pages of a model with channel evidence."""
    limit: LimitReached | msgspec.UnsetType = msgspec.UNSET
    """Only on triggers of hard limits."""


class Event(msgspec.Struct, frozen=True):
    """Event of the engine: one message for an alert topic."""

    kind: Literal["anomaly", "trigger"]
    key: bytes
    id: str
    time_us: int
    body: bytes


def rfc3339(time_us: int) -> str:
    """Render an event time, in UTC.

    Args:
        time_us: Microseconds since the epoch, within years 1 to 9999.

    Returns:
        For example `2026-01-31T00:00:00Z`, with six digits of fraction when they are not zero.

    Raises:
        OverflowError: If the time is outside years 1 to 9999.
    """
    seconds, fraction = divmod(int(time_us), 1_000_000)
    return f"{_seconds_text(seconds)}.{fraction:06d}Z" if fraction else f"{_seconds_text(seconds)}Z"


@lru_cache(maxsize=1024)
def _seconds_text(seconds: int) -> str:
    """Return date and time of day; the events of a step lie within few seconds."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return 16 hex digits that identify a set of labels, whatever their order."""
    words = [word.encode() for name in sorted(labels) for word in (name, labels[name])]
    return hashlib.blake2b(_prefixed(words), digest_size=8).hexdigest()


def event_id(topic: str, key: bytes, time_us: int, row_seq: int, kind: str) -> str:
    """Return the id of an event: the same on every replay and worker, to recognise duplicates.

    Args:
        topic: Input topic.
        key: Stream key.
        time_us: Event time of the row.
        row_seq: The key's count of scored rows.
        kind: `anomaly`, `trigger`, or a kind of its own for each event of one row.

    Returns:
        32 hex digits. Fields are length-prefixed: ("a", b"bc") and ("ab", b"c") differ.
    """
    time, count = b"%d" % time_us, b"%d" % row_seq
    parts = (
        *(_named(topic), length_prefix(len(key)), key),
        *(length_prefix(len(time)), time, length_prefix(len(count)), count, _named(kind)),
    )
    return hashlib.blake2b(b"".join(parts), digest_size=16).hexdigest()


@lru_cache(maxsize=256)
def _named(name: str) -> bytes:
    """Return the name of a topic or kind behind its length."""
    return _prefixed([name.encode()])


def _prefixed(fields: Sequence[bytes]) -> bytes:
    """Join fields, each behind its length, so that different fields never give the same bytes."""
    return b"".join([part for field in fields for part in (length_prefix(len(field)), field)])


@lru_cache(maxsize=256)
def length_prefix(length: int) -> bytes:
    """Return the four bytes before a field of an identity."""
    return length.to_bytes(4, "big")


def _plain(value: Any) -> Any:
    """Convert NumPy's scalars and arrays to Python's, which msgspec can encode."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise NotImplementedError(f"An event body cannot hold a {type(value).__name__}.")


_encoder = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")


def encode_body(body: Anomaly | Trigger) -> bytes:
    """Encode an event body as canonical JSON: fields as declared, labels sorted, no spaces.

    Floats are written with the fewest digits that read back to the same float64; a float32 is
    widened first. A value that is not finite is written as `null`.
    """
    return _encoder.encode(body)


def encode_part(part: Any) -> bytes:
    """Encode a part of an event body, as `encode_body` does: for a `msgspec.Raw` in its place."""
    return _encoder.encode(part)


def cloudevent_headers(event: Event, source: str) -> list[tuple[str, bytes]]:
    """Return the CloudEvents 1.0 headers (binary mode) of an event.

    Args:
        event: The event.
        source: Source of the event, `/ember-stream/<group>`.

    Returns:
        Names and UTF-8 values, in fixed order.
    """
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_type", f"dev.ember.{event.kind}.v{SCHEMA_VERSION}".encode()),
        ("ce_source", source.encode()),
        ("ce_time", rfc3339(event.time_us).encode()),
        ("content-type", b"application/json"),
    ]
