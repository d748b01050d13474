"""Choice of the stream key: the Kafka key, or a field of the record."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

from stream.cli.doctor.evidence import Evidence
from stream.cli.doctor.key_checks import KeyKind, are_random, kind_of_key
from stream.codecs import KeyExpression
from stream.errors import UserError
from stream.keys import key_text
from stream.types import KeyFrom

from .key_fields import NEARLY_ALL, REPEATS, KeyField, KeyFields

_MANY: Final = 0.1
"""Share of records with the time of another one from which they are no accident."""
_MOST: Final = 0.5
"""Share of numbers that another one of the same time contradicts, from which a name is too wide."""
_FEWER: Final = 0.1
"""Part of such records that a better name leaves."""
_HASH: Final = re.compile(
    r"(?:0x)?[0-9a-f]{16,}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE
)
_NO_KEYS: Final = "the records have no Kafka key"
_ODD_KINDS: Final[dict[KeyKind, str]] = {
    "binary": "bytes that are no text, such as a hash",
    "quoted": "texts in quotes",
    "document": "JSON documents",
    "framed": "in a schema registry's wire format",
}


@dataclass(frozen=True)
class KeyChoice:
    """Origin of the stream key.

    Attributes:
        key: Value of `input.key`; empty: the Kafka key.
        key_from: Value of `input.key_from`.
        reason: Reason of the choice, in words.
        alternatives: Further fields that may name the streams; `kafka` for the Kafka key.
        is_clear: False where one of them may as well be meant.
    """

    key: str
    key_from: KeyFrom
    reason: str
    alternatives: tuple[str, ...] = ()
    is_clear: bool = True

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of `[input]`."""
        return {"key": self.key, "key_from": self.key_from}

    @property
    def name(self) -> str:
        """The choice in a word."""
        return self.key or "kafka"


def choose_key(source: KeyFields, topic: str) -> KeyChoice:
    """Return the likeliest origin of the stream key.

    Args:
        source: Kafka keys and fields of the records.
        topic: Name of the topic, which names the stream where there is only one.
    """
    choice = _choose(source, topic)
    # A field that usually names hosts needs no question; two that are joined, or Kafka keys, do.
    usual_names = {field.text for field in source.fields if field.is_known}
    is_clear = not choice.alternatives or (
        choice.key in usual_names and "kafka" not in choice.alternatives
    )
    return replace(choice, is_clear=is_clear)


def _choose(source: KeyFields, topic: str) -> KeyChoice:
    fault = _fault_of(source.kafka_keys)
    if not any(map(source.names_streams, source.fields)):
        if not fault:
            return KeyChoice("", "kafka", f"{_described(source)}; no field names streams")
        reason = f"{fault}, and no field names streams: all records are one stream"
        one_stream = json.dumps(topic, ensure_ascii=False)
        doubtful = tuple(field.text for field in source.fields[:4])
        return KeyChoice(one_stream, "record", reason, doubtful)
    best = next(field for field in source.fields if source.names_streams(field))
    alternatives = tuple(field.text for field in source.fields if field is not best)[:4]
    are_equal = source.are_kafka_keys(best)
    # Keys that are the host are names, whatever they look like.
    if fault and (fault == _NO_KEYS or not are_equal):
        return _by_field(source, best, fault, alternatives)
    missing = sum(not key for key in source.kafka_keys) / len(source.kafka_keys)
    if missing and are_equal:
        reason = f"the Kafka key, and {best.text} where there is none"
        return KeyChoice(best.text, "kafka", reason, alternatives)
    if missing:
        reason = f"{max(1, round(100 * missing))} % have no Kafka key"
        return _by_field(source, best, reason, alternatives)
    if are_equal:
        return KeyChoice("", "kafka", f"the Kafka keys are the values of {best.text}")
    return _between(source, best, alternatives)


def _between(source: KeyFields, best: KeyField, alternatives: tuple[str, ...]) -> KeyChoice:
    """Choose between Kafka keys and a field that both are names, but not the same ones."""
    is_finer, is_coarser = source.compare_kafka_keys(best)
    kafka_keys = set(source.kafka_keys)
    if not is_finer and not is_coarser and len(kafka_keys) > 1:
        if all(_HASH.fullmatch(key_text(key or b"")) for key in kafka_keys):
            reason = "the Kafka keys are hashes of it"
            return _by_field(source, best, reason, (*alternatives, "kafka"))
        return KeyChoice("", "kafka", f"{_described(source)}, one for each {best.text}")
    if best.share < NEARLY_ALL:
        reason = f"{best.text} is in {100 * best.share:.0f} % of records, else the Kafka key"
        return KeyChoice(best.text, "auto", reason, (*alternatives, "kafka"))
    if is_finer and not is_coarser and source.is_json:
        reason = f"{_described(source)}, and several for each {best.text}"
        return KeyChoice("", "kafka", reason, (best.text, *alternatives))
    if not best.is_known and not _is_better(source, best):
        return KeyChoice("", "kafka", _described(source), (best.text, *alternatives))
    plural = "s" if len(kafka_keys) > 1 else ""
    reason = f"{best.distinct} values of it, and {len(kafka_keys)} Kafka key{plural} of other "
    return _by_field(source, best, f"{reason}meaning", (*alternatives, "kafka"))


def _by_field(
    source: KeyFields, field: KeyField, cause: str, alternatives: tuple[str, ...]
) -> KeyChoice:
    """Choose a field, with a second one where it names several streams at a time."""
    alone = source.conflicts(field.values)
    if not source.is_json or alone <= _MOST:
        return KeyChoice(field.text, "record", cause, alternatives)
    for second in source.fields:
        names = {n: f"{name}/{second.values.get(n)}" for n, name in field.values.items()}
        is_few = len(set(names.values())) * REPEATS <= len(names)
        if second is not field and is_few and source.conflicts(names) < _FEWER * alone:
            reason = f"{cause}; {field.text} alone has several values of one time"
            first, last = sorted((field, second), key=_order_in_key)
            return KeyChoice(f'{first.text} + "/" + {last.text}', "record", reason, alternatives)
    return KeyChoice(field.text, "record", cause, alternatives)


def _order_in_key(field: KeyField) -> tuple[bool, bool, int]:
    """Return the place of a field in a joined key: a host first, a measurement last."""
    return field.is_measure, not field.is_known, field.distinct


def _is_better(source: KeyFields, field: KeyField) -> bool:
    """Tell if a field keeps records of one time apart that the Kafka keys do not."""
    by_kafka = source.collisions(source.kafka_names())
    return by_kafka > _MANY and source.collisions(field.values) < _FEWER * by_kafka


def _fault_of(kafka_keys: list[bytes | None]) -> str:
    """Return why the Kafka keys name no streams; nothing where they may."""
    kinds = Counter(kind_of_key(key) for key in kafka_keys)
    if kinds["none"] == len(kafka_keys):
        return _NO_KEYS
    for kind, words in _ODD_KINDS.items():
        if kinds[kind] > len(kafka_keys) // 2:
            return f"the Kafka keys are {words}"
    return "the Kafka keys never repeat" if are_random(kafka_keys) else ""


def _described(source: KeyFields) -> str:
    keys = {key for key in source.kafka_keys if key}
    noun = "different Kafka keys" if len(keys) != 1 else "Kafka key"
    return f"{len(keys)} {noun} in {len(source.kafka_keys):,} records"


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
