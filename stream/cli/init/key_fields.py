"""Fields of the records that may name the streams, beside the Kafka keys of the same records."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from stream.cli.doctor.evidence import Evidence, Record
from stream.cli.doctor.key_checks import CANDIDATES, RANDOM_FROM
from stream.codecs import FieldFinder
from stream.keys import key_text

from .fields import Path, Scalar, can_be_named, columns_of, path_text, value_at

NEARLY_ALL: Final = 0.95
REPEATS: Final = 4
"""Records of a stream, at least on average: a field of more values names no streams."""
_HALF: Final = 0.5
_MESSAGES: Final = 1_000
_PER_MESSAGE: Final = 50
_LONGEST: Final = 200
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
class KeyField:
    """Field of the records that may name the streams.

    Attributes:
        text: Field as the settings name it.
        values: Its values by the number of the record.
        share: Share of records that have it.
        is_known: True for a name that hosts usually have.
    """

    text: str
    values: Mapping[int, str]
    share: float
    is_known: bool

    @property
    def distinct(self) -> int:
        """Number of different values."""
        return len(set(self.values.values()))


class KeyFields:
    """Fields that may name the streams of a source, the likeliest first.

    Args:
        evidence: Records, read by the codec that was chosen.
        time: Path of the event time, which names no stream.

    Attributes:
        kafka_keys: Kafka key of every record of the source.
        is_json: True where a record has all channels of its time, as a rule.
        fields: The fields.
    """

    def __init__(self, evidence: Evidence, time: Path = ()) -> None:
        codec = evidence.codec.partition("_")[0]
        self.is_json = codec not in _MEASUREMENTS
        self._known_names = CANDIDATES.get(codec, CANDIDATES["json"])
        self._measurement = _MEASUREMENTS.get(codec, ())
        messages = [record for record in evidence.records if record.value]
        self.kafka_keys = [record.key for record in messages]
        # Neighbours tell little of each other: samples are taken from all of the source.
        step = max(1, len(messages) // _MESSAGES)
        self._records = _records_in(messages[::step], evidence)
        # Formats with a time of their own have no choice of it: their rows are intervals anyway.
        self._times = [
            (value_at(record, time) if time else None) or message.timestamp
            for message, record in self._records
        ]
        self.fields = sorted(self._find(time), key=self._rank)

    def _find(self, time: Path) -> list[KeyField]:
        """Return the fields that may name the streams."""
        total = len(self._records)
        last_names = {name.rpartition(".")[2] for name in CANDIDATES["json"]}
        fields = []
        for path, column in columns_of([record for _, record in self._records]).items():
            if not can_be_named(path) or path == time:
                continue
            text = path_text(path)
            is_known = text in self._known_names or (self.is_json and path[-1] in last_names)
            if not is_known and any(path[: len(head)] == head for head in self._measurement):
                continue
            values = {n: str(value) for n, value in column.items() if value != ""}
            field = KeyField(text, values, len(column) / max(1, total), is_known)
            is_few = field.distinct * REPEATS <= max(REPEATS, len(values)) or total < RANDOM_FROM
            if field.share < _HALF or not is_few or not _can_name(path, column, is_known):
                continue
            if is_known or (field.share > NEARLY_ALL and field.distinct > 1):
                fields.append(field)
        return fields

    def _rank(self, field: KeyField) -> tuple[Any, ...]:
        names = self._known_names
        position = names.index(field.text) if field.text in names else len(names)
        is_likely = _LIKELY.search(field.text.rpartition(".")[2]) is not None
        is_rare = field.share < NEARLY_ALL
        return (not field.is_known, is_rare, position, not is_likely, -field.distinct)

    def are_kafka_keys(self, field: KeyField) -> bool:
        """Tell if the Kafka keys, where there are any, are the values of a field."""
        pairs = [
            (message.key, field.values.get(number))
            for number, (message, _) in enumerate(self._records)
            if message.key
        ]
        equal = sum(value is not None and key == value.encode() for key, value in pairs)
        return bool(pairs) and equal > NEARLY_ALL * len(pairs)

    def compare_kafka_keys(self, field: KeyField) -> tuple[bool, bool]:
        """Tell if there are several Kafka keys for a value, and several values for a Kafka key."""
        keys: dict[str, set[bytes | None]] = defaultdict(set)
        values: dict[bytes | None, set[str]] = defaultdict(set)
        for number, (message, _) in enumerate(self._records):
            if (value := field.values.get(number)) is not None:
                keys[value].add(message.key)
                values[message.key].add(value)
        is_finer = any(len(kafka_keys) > 1 for kafka_keys in keys.values())
        return is_finer, any(len(names) > 1 for names in values.values())

    def kafka_names(self) -> dict[int, str]:
        """Return the Kafka keys as names, by the number of the record."""
        return {n: key_text(message.key or b"") for n, (message, _) in enumerate(self._records)}

    def collisions(self, names: Mapping[int, str]) -> float:
        """Return the share of records that have the time of another one of their name.

        Args:
            names: Name of the stream by the number of the record.
        """
        moments = {(name, self._times[number]) for number, name in names.items()}
        return 1 - len(moments) / max(1, len(names))


def _records_in(
    messages: Sequence[Record], evidence: Evidence
) -> list[tuple[Record, Mapping[str, Any]]]:
    """Return each record of the messages, with its message."""
    source = evidence.settings.input
    # Whole documents: the key may stand beside the list of the records.
    finder = FieldFinder(evidence.codec, **{**source.codec_options(), "records": ""})
    pairs: list[tuple[Record, Mapping[str, Any]]] = []
    for message, documents in zip(messages, finder.records(messages), strict=True):
        for document in islice(documents, _PER_MESSAGE):
            members = value_at(document, source.records.split(".")) if source.records else None
            if isinstance(members, list):
                items = [item for item in members if isinstance(item, Mapping)]
                pairs += [(message, {**document, **item}) for item in items[:_PER_MESSAGE]]
            else:
                pairs.append((message, document))
    return pairs


def _can_name(path: Path, column: Mapping[int, Scalar], is_known: bool) -> bool:
    """Tell if values of a field can name streams: texts, or whole numbers of such a name."""
    if any(isinstance(value, bool | float) for value in column.values()):
        return False
    if all(isinstance(value, int) for value in column.values()):
        return is_known or path[-1].lower().endswith(("id", "number", "_no", "_nr", "key"))
    return max(len(str(value)) for value in column.values()) <= _LONGEST
