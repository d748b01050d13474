"""Fields of the records that may name the streams, beside the Kafka keys of the same records."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from stream.cli.doctor.evidence import Evidence, Record
from stream.cli.doctor.key_checks import CANDIDATES, RANDOM_FROM
from stream.codecs import FieldFinder
from stream.keys import key_text

from .fields import Path, Scalar, can_be_named, columns_of, path_text, scalars, value_at

NEARLY_ALL: Final = 0.95
REPEATS: Final = 4
"""Records of a stream, at least on average: a field of more values names no streams."""
_HALF: Final = 0.5
_TOGETHER: Final = 0.1
"""Share of records with the time of another one from which several streams are there."""
_EVEN: Final = 0.7
_RECORDS: Final = 10_000
_BLOCKS: Final = 8
_BLOCK: Final = 500
_MOST_PER_MESSAGE: Final = 50
_RANDOM: Final = 0.9
"""Part of the records from which so many values of a host's name are numbers of records."""
_LONGEST: Final = 200
_VAGUE: Final = ("id", "key", "name", "uid", "uuid")
"""Names that say something only with the name of the object that they are in."""
_LIKELY: Final = re.compile(
    r"host|hostname|device|sensor|machine|node|instance|server|asset|serial|vehicle|turbine|meter|"
    r"station|gateway|robot|pod|container|service|app|agent|source"
)
_MEASURES: Final = re.compile(
    r"metric|metrics|metricset|measurement|quantity|parameter|channel|field|variable|tag|unit|kind|"
    r"type|status|state|level|mode|quality|event|message|severity|version"
)
"""Words of fields that say which measurement a record is, or how it went."""
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
        is_measure: True for a name that measurements usually have.
    """

    text: str
    values: Mapping[int, str]
    share: float
    is_known: bool
    is_measure: bool = False

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
        self._records = _records_in(_blocks_of(messages), evidence)
        # Formats with a time of their own have no choice of it: their rows are intervals anyway.
        self._times = [
            (value_at(record, time) if time else None) or message.timestamp
            for message, record in self._records
        ]
        self._ranks: dict[str, tuple[Any, ...]] = {}
        self.fields = sorted(self._find(time), key=lambda field: self._ranks[field.text])

    def _find(self, time: Path) -> list[KeyField]:
        """Return the fields that may name the streams."""
        total = len(self._records)
        fields = []
        for path, column in columns_of([record for _, record in self._records]).items():
            if not can_be_named(path) or path == time:
                continue
            text = path_text(path)
            is_known = self._position(path) is not None
            if not is_known and any(path[: len(head)] == head for head in self._measurement):
                continue
            values = {n: str(value) for n, value in column.items() if value != ""}
            share = len(column) / max(1, total)
            is_measure = self.is_json and _has(path[-2:], _MEASURES)
            field = KeyField(text, values, share, is_known, is_measure)
            is_few = field.distinct * REPEATS <= max(REPEATS, len(values)) or total < RANDOM_FROM
            # A large fleet sends few records of each host in the time of a sample.
            is_few |= is_known and path[-1] not in _VAGUE and field.distinct < _RANDOM * len(values)
            if field.share < _HALF or not is_few or not _can_name(path, column, is_known):
                continue
            if is_known or (field.share > NEARLY_ALL and field.distinct > 1):
                fields.append(field)
                self._ranks[text] = self._rank(path, field)
        return fields

    def _position(self, path: Path) -> int | None:
        """Return the place of a field among the names that hosts usually have."""
        text, names = path_text(path), self._known_names
        if text in names:
            # Alone they may name anything, and come last.
            return len(names) if text in _VAGUE else names.index(text)
        if not self.is_json:
            return None
        # `host.name` is as good as `host`; `metricset.name` names no host.
        name = path[-2] if path[-1].lower() in _VAGUE and len(path) > 1 else path[-1]
        return names.index(name) if name in names and name not in _VAGUE else None

    def _rank(self, path: Path, field: KeyField) -> tuple[Any, ...]:
        position = self._position(path)
        is_likely = _has(path[-2:], _LIKELY)
        return (
            not field.is_known,
            field.share < NEARLY_ALL,
            len(self._known_names) if position is None else position,
            field.is_measure,
            not is_likely,
            not self._is_stream(field),
            len(path),
            -field.distinct,
        )

    def names_streams(self, field: KeyField) -> bool:
        """Tell if a field names streams: by its name, or since its values send side by side."""
        _, _, _, is_measure, is_unlikely, is_no_stream, *_ = self._ranks[field.text]
        return field.is_known or not (is_measure or (is_unlikely and is_no_stream))

    def _is_stream(self, field: KeyField) -> bool:
        """Tell if the values of a field come equally often, or at the same times.

        A status or a mode does neither: one value lasts, and most records have the same.
        """
        collisions = self.collisions(dict.fromkeys(field.values, ""))
        if collisions > _TOGETHER and self.collisions(field.values) < collisions / 2:
            return True
        counts = Counter(field.values.values())
        numbers = sorted(field.values)
        early = {field.values[n] for n in numbers[: len(numbers) // 4 + field.distinct]}
        is_even = min(counts.values()) > _EVEN * max(counts.values())
        return is_even and len(early) == field.distinct

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

    def conflicts(self, names: Mapping[int, str]) -> float:
        """Return the share of numbers of which there are several for one name, time and field.

        Records of one time that hold different channels are parts of a row, and are none.

        Args:
            names: Name of the stream by the number of the record.
        """
        cells: dict[tuple[str, Any, Path], set[float]] = defaultdict(set)
        varying: dict[Path, set[float]] = defaultdict(set)
        numbers = []
        for number, name in names.items():
            for path, value in scalars(self._records[number][1]):
                if isinstance(value, int | float) and value != self._times[number]:
                    cell = (name, self._times[number], path)
                    cells[cell].add(value)
                    varying[path].add(value)
                    numbers.append(cell)
        numbers = [cell for cell in numbers if len(varying[cell[2]]) > 1]
        return sum(len(cells[cell]) > 1 for cell in numbers) / max(1, len(numbers))

    def collisions(self, names: Mapping[int, str]) -> float:
        """Return the share of records that have the time of another one of their name.

        Args:
            names: Name of the stream by the number of the record.
        """
        moments = {(name, self._times[number]) for number, name in names.items()}
        return 1 - len(moments) / max(1, len(names))


def _blocks_of(messages: Sequence[Record]) -> Sequence[Record]:
    """Return messages of all of the source: in blocks, since neighbours have the same times."""
    if len(messages) <= _BLOCKS * _BLOCK:
        return messages
    step = len(messages) // _BLOCKS
    return [message for n in range(_BLOCKS) for message in messages[n * step : n * step + _BLOCK]]


def _records_in(
    messages: Sequence[Record], evidence: Evidence
) -> list[tuple[Record, Mapping[str, Any]]]:
    """Return each record of the messages, with its message."""
    source = evidence.settings.input
    # Whole documents: the key may stand beside the list of the records.
    finder = FieldFinder(evidence.codec, **{**source.codec_options(), "records": ""})
    most = min(_MOST_PER_MESSAGE, max(1, _RECORDS // max(1, len(messages))))
    pairs: list[tuple[Record, Mapping[str, Any]]] = []
    for message, documents in zip(messages, finder.records(messages), strict=True):
        for document in islice(documents, most):
            members = value_at(document, source.records.split(".")) if source.records else None
            if isinstance(members, list):
                items = [item for item in members if isinstance(item, Mapping)]
                pairs += [(message, {**document, **item}) for item in items[:most]]
            else:
                pairs.append((message, document))
    return pairs


def _has(names: Sequence[str], words: re.Pattern[str]) -> bool:
    """Tell if one of the words of some names is one of those of a pattern."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", " ".join(names))
    return any(map(words.fullmatch, re.findall(r"[a-z]+", spaced.lower())))


def _can_name(path: Path, column: Mapping[int, Scalar], is_known: bool) -> bool:
    """Tell if values of a field can name streams: texts, or whole numbers of such a name."""
    if any(isinstance(value, bool | float) for value in column.values()):
        return False
    if all(isinstance(value, int) for value in column.values()):
        return is_known or path[-1].lower().endswith(("id", "number", "_no", "_nr", "key"))
    return max(len(str(value)) for value in column.values()) <= _LONGEST
