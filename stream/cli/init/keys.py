"""Choice of the stream key: the Kafka key, or a field of the record, and whether to re-key."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from stream.cli.doctor.evidence import Evidence, Record
from stream.cli.doctor.key_checks import CANDIDATES, RANDOM_FROM, KeyKind, kind_of_key, never_repeat
from stream.codecs import FieldFinder, KeyExpression
from stream.errors import UserError
from stream.keys import key_text
from stream.types import KeyFrom

from .fields import Path, Scalar, can_be_named, columns_of, path_text

_NEARLY_ALL: Final = 0.95
_HALF: Final = 0.5
_LOOKED_AT: Final = 1_000
_MOST_PER_MESSAGE: Final = 50
_REPEATS: Final = 4
"""Records of a stream, at least on average: a field of more values names no streams."""
_SHARED: Final = 0.1
"""Share of records with the time of another one from which they are no accident."""
_APART: Final = 0.1
_LONGEST: Final = 200
_HASH: Final = re.compile(
    r"(?:0x)?[0-9a-f]{16,}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE
)
_LIKELY: Final = re.compile(
    r"(host|device|sensor|machine|node|instance|server|unit|asset|serial|vehicle|pump|turbine|"
    r"meter|station|gateway|robot|line|pod|container|service|app|agent|source|name|id)",
    re.IGNORECASE,
)
_MEASUREMENTS: Final[Mapping[str, tuple[Path, ...]]] = {
    "influx": (("name",), ("fields",), ("timestamp",)),
    "telegraf": (("name",), ("fields",), ("timestamp",)),
    "collectd": (("plugin",), ("plugin_instance",), ("type",), ("type_instance",), ("time",)),
    "prometheus": (("name",), ("labels", "__name__"), ("timestamp",)),
    "otlp": (("name",), ("scope",), ("attributes",)),
}
"""Fields that name the measurement, not the stream."""


@dataclass(frozen=True)
class KeyChoice:
    """Origin of the stream key.

    Attributes:
        key: Value of `input.key`; empty: the Kafka key.
        key_from: Value of `input.key_from`.
        reason: Reason of the choice, in words.
        others: Further fields that may name the streams, as expressions; `kafka` for the Kafka key.
    """

    key: str
    key_from: KeyFrom
    reason: str
    others: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of `[input]`."""
        return {"key": self.key, "key_from": self.key_from}

    @property
    def name(self) -> str:
        """The choice in a word."""
        return self.key or "kafka"


@dataclass(frozen=True)
class _Field:
    """Field of the records that may name the streams."""

    text: str
    values: Mapping[int, str]
    share: float
    is_known: bool


class KeyFinder:
    """Look at Kafka keys and fields of the records of a source.

    Args:
        evidence: Records, read by the codec that was chosen.
        time: Path of the event time, which names no stream.
    """

    def __init__(self, evidence: Evidence, time: Path = ()) -> None:
        self._codec = evidence.codec.partition("_")[0]
        self._codec = "json" if self._codec in ("json", "avro", "protobuf") else self._codec
        self._time = time
        self._topic = evidence.settings.input.topics[0]
        records = [record for record in evidence.records if record.value]
        step = max(1, len(records) // _LOOKED_AT)
        # Neighbours tell little of each other: samples are taken from all of the source.
        self._kafka = records
        self._records: list[tuple[Record, Mapping[str, Any]]] = []
        # Whole documents: the key may stand beside the list of the records.
        options = {**evidence.settings.input.codec_options(), "records": ""}
        finder = FieldFinder(evidence.codec, **options)
        messages = records[::step]
        for record, members in zip(messages, finder.records(messages), strict=True):
            self._records += [(record, item) for item in islice(members, _MOST_PER_MESSAGE)]
        holder = evidence.settings.input.records
        if holder:
            self._records = _members(self._records, holder)
        self._times = [_value(item, time) or record.timestamp for record, item in self._records]
        self._fields = sorted(self._find(), key=self._rank)

    def _find(self) -> list[_Field]:
        """Return the fields that may name the streams."""
        total = len(self._records)
        known = CANDIDATES.get(self._codec, CANDIDATES["json"])
        last_names = {name.rpartition(".")[2] for name in CANDIDATES["json"]}
        measurement = _MEASUREMENTS.get(self._codec, ())
        fields = []
        for path, column in columns_of([item for _, item in self._records]).items():
            if not can_be_named(path) or path == self._time:
                continue
            text = path_text(path)
            is_known = text in known or (self._codec == "json" and path[-1] in last_names)
            if not is_known and any(path[: len(head)] == head for head in measurement):
                continue
            share = len(column) / max(1, total)
            names = {n: str(value) for n, value in column.items() if value != ""}
            distinct = len(set(names.values()))
            repeats = distinct * _REPEATS <= max(_REPEATS, len(names)) or total < RANDOM_FROM
            if share < _HALF or not repeats or not _can_name(path, column, is_known):
                continue
            if is_known or (share > _NEARLY_ALL and distinct > 1):
                fields.append(_Field(text, names, share, is_known))
        return fields

    def _rank(self, field: _Field) -> tuple[Any, ...]:
        known = CANDIDATES.get(self._codec, CANDIDATES["json"])
        order = known.index(field.text) if field.text in known else len(known)
        likely = _LIKELY.search(field.text.rpartition(".")[2]) is not None
        most = -len(set(field.values.values()))
        return (not field.is_known, field.share < _NEARLY_ALL, order, not likely, most)

    def choose(self) -> KeyChoice:
        """Return the likeliest origin of the stream key."""
        best = self._fields[0] if self._fields else None
        others = tuple(field.text for field in self._fields[1:5])
        fault = self._fault_of_kafka_keys()
        if best is None:
            if not fault:
                return KeyChoice("", "kafka", f"{self._described()}; no field names streams")
            reason = f"{fault}, and no field names streams: all records are one stream"
            return KeyChoice(json.dumps(self._topic), "record", reason)
        if fault == _NO_KEYS or (fault and not self._is_named_by(best)):
            return self._by_field(best, fault, others)
        missing = sum(not record.key for record in self._kafka) / len(self._kafka)
        if missing:
            if self._is_named_by(best):
                reason = f"the Kafka key, and {best.text} where there is none"
                return KeyChoice(best.text, "kafka", reason, others)
            return self._by_field(best, f"{100 * missing:.0f} % have no Kafka key", others)
        if self._is_named_by(best):
            return KeyChoice("", "kafka", f"the Kafka keys are {best.text}")
        return self._between(best, others)

    def _between(self, best: _Field, others: tuple[str, ...]) -> KeyChoice:
        """Choose between Kafka keys and a field that are names, but not the same ones."""
        finer, coarser = self._compare(best)
        others_with_kafka = (*others, "kafka")
        kafka_keys = {record.key for record in self._kafka}
        if not finer and not coarser and len(kafka_keys) > 1:
            if all(_HASH.fullmatch(key_text(key or b"")) for key in kafka_keys):
                reason = "the Kafka keys are hashes of it"
                return self._by_field(best, reason, others_with_kafka)
            return KeyChoice("", "kafka", f"{self._described()}, one for each {best.text}")
        if best.share < _NEARLY_ALL:
            reason = f"{best.text} is in {100 * best.share:.0f} % of records, else the Kafka key"
            return KeyChoice(best.text, "auto", reason, others_with_kafka)
        if finer and not coarser and self._codec == "json":
            reason = f"{self._described()}, and several for each {best.text}"
            return KeyChoice("", "kafka", reason, (best.text, *others))
        if not best.is_known and not self._is_better(best):
            return KeyChoice("", "kafka", self._described(), (best.text, *others))
        count = len(set(best.values.values()))
        plural = "s" if len(kafka_keys) > 1 else ""
        reason = f"{count} values of it, and {len(kafka_keys)} Kafka key{plural} of other meaning"
        return self._by_field(best, reason, others_with_kafka)

    def _by_field(self, field: _Field, cause: str, others: tuple[str, ...]) -> KeyChoice:
        """Choose a field, with a second one where it names several streams at a time."""
        alone = self._shared(field.values)
        if self._codec != "json" or alone <= _SHARED:
            return KeyChoice(field.text, "record", cause, others)
        for second in self._fields:
            values = {n: f"{v}/{second.values.get(n)}" for n, v in field.values.items()}
            is_finer = second is not field and len(set(values.values())) * _REPEATS <= len(values)
            if is_finer and self._shared(values) < _APART * alone:
                reason = f"{cause}; {field.text} alone has several records of one time"
                first, last = sorted((field, second), key=_order_in_key)
                return KeyChoice(f'{first.text} + "/" + {last.text}', "record", reason, others)
        return KeyChoice(field.text, "record", cause, others)

    def _is_better(self, field: _Field) -> bool:
        """Tell if a field keeps records of one time apart that the Kafka keys do not."""
        kafka = {n: key_text(record.key or b"") for n, (record, _) in enumerate(self._records)}
        shared = self._shared(kafka)
        return shared > _SHARED and self._shared(field.values) < _APART * shared

    def _shared(self, values: Mapping[int, str]) -> float:
        """Return the share of records that have the time of another one of their name."""
        moments = {(name, self._times[number]) for number, name in values.items()}
        return 1 - len(moments) / max(1, len(values))

    def _fault_of_kafka_keys(self) -> str:
        """Return why the Kafka keys name no streams; nothing where they may."""
        kinds = Counter(kind_of_key(record.key) for record in self._kafka)
        total = len(self._kafka)
        if kinds["none"] == total:
            return _NO_KEYS
        for kind, words in _ODD_KINDS.items():
            if kinds[kind] > total // 2:
                return f"the Kafka keys are {words}"
        if never_repeat(self._kafka):
            return "the Kafka keys never repeat"
        return ""

    def _is_named_by(self, field: _Field) -> bool:
        """Tell if the Kafka keys, where there are any, are the values of a field."""
        pairs = [
            (record.key, field.values.get(number))
            for number, (record, _) in enumerate(self._records)
            if record.key
        ]
        equal = sum(value is not None and key == value.encode() for key, value in pairs)
        return bool(pairs) and equal > _NEARLY_ALL * len(pairs)

    def _compare(self, field: _Field) -> tuple[bool, bool]:
        """Tell if there are several Kafka keys for a value, and several values for a Kafka key."""
        keys: dict[str, set[bytes | None]] = defaultdict(set)
        values: dict[bytes | None, set[str]] = defaultdict(set)
        for number, (record, _) in enumerate(self._records):
            if (value := field.values.get(number)) is not None:
                keys[value].add(record.key)
                values[record.key].add(value)
        return (
            any(len(found) > 1 for found in keys.values()),
            any(len(found) > 1 for found in values.values()),
        )

    def _described(self) -> str:
        keys = {record.key for record in self._kafka if record.key}
        noun = "different Kafka keys" if len(keys) != 1 else "Kafka key"
        return f"{len(keys)} {noun} in {len(self._kafka):,} records"


_NO_KEYS: Final = "the records have no Kafka key"
_ODD_KINDS: Final[dict[KeyKind, str]] = {
    "binary": "bytes that are no text, such as a hash",
    "quoted": "texts in quotes",
    "document": "JSON documents",
    "framed": "in a schema registry's wire format",
}


def _order_in_key(field: _Field) -> tuple[bool, int]:
    """Return the place of a field in a joined key: a host first, else that of fewer values."""
    return not field.is_known, len(set(field.values.values()))


def _value(item: Mapping[str, Any], path: Path) -> Any:
    value = _at(item, path)
    return None if isinstance(value, list | Mapping) else value


def _at(item: Mapping[str, Any], path: Sequence[str]) -> Any:
    inner: Any = item
    for name in path:
        inner = inner.get(name) if isinstance(inner, Mapping) else None
    return inner


def _can_name(path: Path, column: Mapping[int, Scalar], is_known: bool) -> bool:
    """Tell if values of a field can name streams: texts, or whole numbers of such a name."""
    if any(isinstance(value, bool | float) for value in column.values()):
        return False
    if all(isinstance(value, int) for value in column.values()):
        return is_known or path[-1].lower().endswith(("id", "number", "no", "nr", "key"))
    return max(len(str(value)) for value in column.values()) <= _LONGEST


def _members(
    records: Sequence[tuple[Record, Mapping[str, Any]]], holder: str
) -> list[tuple[Record, Mapping[str, Any]]]:
    """Return the members of the list of records, with the fields beside it."""
    members: list[tuple[Record, Mapping[str, Any]]] = []
    for record, item in records:
        inner = _at(item, holder.split("."))
        if isinstance(inner, list):
            members += [(record, {**item, **m}) for m in inner if isinstance(m, Mapping)]
        else:
            members.append((record, item))
    return members


def given_key(evidence: Evidence, key: str, key_from: KeyFrom | None) -> KeyChoice:
    """Return the key that the user names.

    Args:
        evidence: Records, read by the codec that was chosen.
        key: Expression of the key, or `kafka`.
        key_from: Origin of the key; None: the record, where there is an expression.

    Raises:
        UserError: If the expression cannot be read, or no record has its fields.
    """
    if key in ("", "kafka"):
        return KeyChoice("", key_from or "kafka", "as asked")
    choice = KeyChoice(key, key_from or "record", "as asked")
    KeyExpression(key, key_from="record")
    reading = evidence.read(evidence.find_channels(**choice.settings), **choice.settings)
    if not len(reading.decoded):
        detail = reading.refusals[-1].detail if reading.refusals else ""
        raise UserError(
            f"No record gives a stream key by {key!r}. Expected fields that the records have. "
            f"Received: --key {key}. {detail}".strip()
        )
    return choice


def needs_rekeying(evidence: Evidence, partitions: int) -> tuple[bool, str]:
    """Tell if records of a stream key lie in several partitions, and the reason in words.

    Args:
        evidence: Records, read with the key that was chosen.
        partitions: Number of partitions of the topic; 0: unknown.
    """
    if partitions == 1:
        return False, "the topic has one partition"
    if not partitions:
        return False, "a file of values has no partitions: set rekey where a key is in several"
    reading = evidence.samples
    places: dict[bytes, Counter[int]] = defaultdict(Counter)
    for number, key in enumerate(reading.decoded.keys):
        places[key][reading.partition_of(number)] += 1
    scattered = sum(len(numbers) > 1 for numbers in places.values())
    if scattered:
        return True, f"{scattered} of {len(places)} keys are in several partitions"
    has_keys = any(record.key for record in evidence.records)
    messages = Counter(reading.decoded.keys)
    if not has_keys and places and min(messages.values()) < RANDOM_FROM:
        return True, "records without a Kafka key go to any partition"
    return False, f"each of {len(places)} keys is in one partition"
