"""Checks of `ember doctor` on keys: their form, their origin, their partitions."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from stream.errors import UserError
from stream.key_difference import key_difference
from stream.key_patterns import KeyPatterns
from stream.keys import key_text, quoted
from stream.records import Reason

from .evidence import Evidence, Record
from .findings import Check

_SHOWN = 5
_TRIED = 200
"""Records on which a field is tried as key."""
_NEARLY_ALL = 0.95
"""Share of records with a field from which it is taken without a look at the others."""
RANDOM_FROM = 20
"""Records below which keys that never repeat say nothing."""

_OF_CHANCE = re.compile(r"[0-9a-f{}-]{6,}|\d+|[\w+/-]{16,}={0,2}", re.IGNORECASE)
"""Texts that are drawn or counted: hexadecimal digits, numbers, base 64."""
_ENOUGH = 2_000
"""Records among which the names of nearly all fleets repeat."""

KeyKind = Literal["none", "text", "binary", "quoted", "document", "framed"]

_KIND_WORDS: dict[KeyKind, str] = {
    "binary": "bytes that are no text, such as a hash",
    "quoted": "texts in quotes, as a JSON serialiser writes them",
    "document": "JSON documents",
    "framed": "in a schema registry's wire format",
}

CANDIDATES: dict[str, tuple[str, ...]] = {
    "influx": ("tags.host", "tags.hostname", "tags.agent_host", "tags.device", "tags.source"),
    "telegraf": ("tags.host", "tags.hostname", "tags.agent_host", "tags.device", "tags.source"),
    "collectd": ("host",),
    "prometheus": ("labels.instance", "labels.pod", "labels.host", "labels.job"),
    "otlp": (
        'resource["host.name"]',
        'resource["k8s.pod.name"]',
        'resource["service.instance.id"]',
        'resource["k8s.node.name"]',
        'resource["service.name"]',
    ),
    "json": (
        *("host", "hostname", "device", "device_id", "deviceId", "sensor", "sensor_id", "machine"),
        *("instance", "node", "id", "key", "name", "tags.host", "labels.host", "meta.host"),
    ),
}
"""Fields that often name the stream, the likeliest first, by codec."""


def kind_of_key(key: bytes | None) -> KeyKind:
    """Return the form of a Kafka key.

    Examples:
        >>> kind_of_key(b"web-1"), kind_of_key(b'"web-1"'), kind_of_key(bytes(range(200, 216)))
        ('text', 'quoted', 'binary')
    """
    if not key:
        return "none"
    if key[:1] == b"\x00" and len(key) > 5:
        return "framed"
    text = key_text(key)
    if "\\x" in text or not text.isprintable():
        return "binary"
    if len(text) > 1 and text[0] == text[-1] == '"':
        return "quoted"
    return "document" if text[0] == "{" and text[-1] == "}" else "text"


def key_form(evidence: Evidence) -> Iterator[Check]:
    """Check that the Kafka keys are names, where they are used as stream keys."""
    source, records = evidence.settings.input, evidence.records
    if source.key_from != "kafka":
        return
    kinds = Counter(kind_of_key(record.key) for record in records)
    total = len(records)
    name = f"keys of {evidence.topic}"
    if kinds["none"] and not source.key:
        verb = "have" if kinds["none"] > 1 else "has"
        yield Check(
            name,
            "fail",
            f"{kinds['none']} of {total} records {verb} no Kafka key: they would be refused.",
            _set_key(evidence, "input.key", "or let the producer set the key"),
        )
    odd = {kind: count for kind, count in kinds.items() if kind in _KIND_WORDS}
    for kind, count in odd.items():
        yield Check(
            name,
            "fail" if count > total // 2 else "warn",
            f"{count} of {total} Kafka keys are {_KIND_WORDS[kind]}: {_examples(records, kind)}. "
            "Each would be a stream of that name.",
            _set_key(evidence, "input.key_from = 'record' and input.key"),
        )
    if not odd and are_random([record.key for record in records]):
        yield Check(
            name,
            "fail",
            f"{total} records have {len({record.key for record in records})} different Kafka keys, "
            f"such as {_examples(records, 'text')}: they do not name streams.",
            _set_key(evidence, "input.key_from = 'record' and input.key"),
        )


def are_random(kafka_keys: Sequence[bytes | None]) -> bool:
    """Tell if nearly every record has a Kafka key of its own, of enough records to say so."""
    keys = [key for key in kafka_keys if key]
    if len(keys) < RANDOM_FROM or 10 * len(set(keys)) <= 9 * len(keys):
        return False
    # The hosts of a large fleet repeat as seldom in a few records, but have names.
    chance = sum(_OF_CHANCE.fullmatch(key_text(key)) is not None for key in keys)
    return 2 * chance > len(keys) or len(keys) > _ENOUGH


def _examples(records: Sequence[Record], kind: KeyKind) -> str:
    keys = dict.fromkeys(r.key for r in reversed(records) if r.key and kind_of_key(r.key) == kind)
    return ", ".join(quoted(key) for key in list(keys)[:_SHOWN] if key)


def _set_key(evidence: Evidence, setting: str, otherwise: str = "") -> str:
    """Return the advice to take the key from the record, with a field that would do."""
    field = key_field(evidence)
    tail = f", {otherwise}." if otherwise else "."
    if field is None:
        return f"Set {setting} to the field that names the stream{tail}"
    return f"Set {setting} = {json.dumps(field)}{tail}".replace('\\"', '"')


def key_field(evidence: Evidence) -> str | None:
    """Return a field that is in nearly every record and names few enough streams."""
    names = CANDIDATES.get(evidence.codec.partition("_")[0], CANDIDATES["json"])
    records = evidence.records[-_TRIED:]
    best: tuple[float, int] | None = None
    for number, field in enumerate(names):
        try:
            channels = evidence.find_channels(records, key=field, key_from="record")
            reading = evidence.read(channels, records, key=field, key_from="record")
        except UserError:
            continue
        share = len(set(reading.decoded.message.tolist())) / max(1, len(records))
        streams = len(set(reading.decoded.keys))
        repeats = streams <= max(1, len(records) // 4) or len(records) < RANDOM_FROM
        if share > _NEARLY_ALL and repeats:
            return field
        if share > 0.5 and repeats and (best is None or share > best[0] + 0.05):
            best = (share, number)
    return names[best[1]] if best else None


def with_right_key(evidence: Evidence) -> Evidence:
    """Return the evidence with the stream key from the record, where the Kafka keys are none."""
    if not any(check.status == "fail" for check in key_form(evidence)):
        return evidence
    field = key_field(evidence)
    if field is None:
        return evidence
    source = evidence.settings.input.model_copy(update={"key": field, "key_from": "record"})
    return replace(evidence, settings=evidence.settings.model_copy(update={"input": source}))


def key_in_record(evidence: Evidence) -> Iterator[Check]:
    """Check that the records have the fields of `input.key`, where they are needed."""
    refusals = [r for r in evidence.samples.refusals if r.reason in (Reason.NO_KEY, Reason.BAD_KEY)]
    if not refusals or not evidence.settings.input.key:
        return
    yield Check(
        f"keys of {evidence.topic}",
        "fail" if len(refusals) > len(evidence.samples.records) // 2 else "warn",
        f"{len(refusals)} of {len(evidence.samples.records)} records give no stream key. "
        f"{refusals[-1].detail}",
        _set_key(evidence, "input.key"),
    )


def key_partitions(evidence: Evidence) -> Iterator[Check]:
    """Check that all records of a stream key are in one partition."""
    partitions: dict[bytes, set[int]] = {}
    for sample, key in enumerate(evidence.samples.decoded.keys):
        partitions.setdefault(key, set()).add(evidence.samples.partition_of(sample))
    if not partitions:
        return
    name = f"keys of {evidence.topic}"
    scattered = [key for key, numbers in partitions.items() if len(numbers) > 1]
    if not scattered:
        count = len(evidence.samples.records)
        yield Check(
            name, "ok", f"{len(partitions)} keys in {count} records, each in one partition."
        )
        return
    if evidence.settings.input.rekey:
        yield Check(name, "ok", f"{len(partitions)} keys; records are re-keyed. {cost(evidence)}")
        return
    examples = ", ".join(map(quoted, scattered[:_SHOWN]))
    suffix = f" and {len(scattered) - _SHOWN} more" if len(scattered) > _SHOWN else ""
    detail = f"Keys in more than one partition: {examples}{suffix}. Each would have several states."
    if by_kafka_key(evidence):
        detail += " Either producers hash differently, or partitions were added."
        fix = (
            "Use one partitioner for all producers (Kafka's default is murmur2; librdkafka needs "
            "partitioner=murmur2_random), and a new topic after adding partitions. Or set "
            f"input.rekey = true. {cost(evidence)}"
        )
    else:
        fix = f"Set input.rekey = true. {cost(evidence)} Cheaper: let the producer set the key."
    yield Check(name, "fail", detail, fix)


def cost(evidence: Evidence) -> str:
    """Return the sentence about what re-keying writes and reads, at the rate of the records."""
    # The newer half: among the older ones are records from further back.
    records = evidence.records[len(evidence.records) // 2 :]
    size = sum(len(record.value or b"") for record in records) / len(records)
    # Producers are assumed to go on as in the records that were read.
    span = (records[-1].timestamp - records[0].timestamp) / 1000
    if span <= 0:
        return f"Each record ({size:,.0f} bytes) is written and read once more."
    rate = (len(records) - 1) / span
    return (
        f"That writes and reads every record once more: at the present {rate:,.0f} records/s "
        f"about {rate * size / 1e6:.2g} MB/s more each way, and one more hop of delay."
    )


def by_kafka_key(evidence: Evidence) -> bool:
    """Tell if the stream keys of most records are their Kafka keys."""
    reading = evidence.samples
    owners = reading.decoded.message.tolist()
    equal = sum(
        reading.records[owner].key == key
        for owner, key in zip(owners, reading.decoded.keys, strict=True)
    )
    return bool(2 * equal > len(owners))


def profiles(evidence: Evidence) -> Iterator[Check]:
    """Tell how many keys each profile has, and how many have none."""
    section = evidence.settings.model
    patterns = list(section.profiles)
    keys = list(dict.fromkeys(evidence.samples.decoded.keys))
    if not patterns or not keys:
        return
    counts = np.bincount(
        KeyPatterns(patterns, len(patterns)).find(keys), minlength=len(patterns) + 1
    )
    parts = [f"{pattern} {n:,}" for pattern, n in zip(patterns, counts.tolist(), strict=False)]
    without, name = int(counts[-1]), f"profiles of {evidence.topic}"
    parts.append(f"no pattern {without:,}")
    detail = f"Keys by the pattern of model.profiles: {', '.join(parts)}."
    if without and section.other_keys is None:
        fix = "Their records count as no_profile. Add a pattern, or set model.path for them."
        yield Check(name, "fail" if without == len(keys) else "warn", detail, fix)
    elif not counts[:-1].all():
        fix = (
            "A pattern without a key may be misspelt, or stand behind one that fits the same keys."
        )
        yield Check(name, "warn", detail, fix)
    else:
        yield Check(name, "ok", detail)


def known_keys(evidence: Evidence) -> Iterator[Check]:
    """Check that the model knows the stream keys."""
    if evidence.model is None or not evidence.model.keys:
        return
    present = dict.fromkeys(evidence.samples.decoded.keys)
    known_count = sum(key in present for key in evidence.model.keys)
    if not present:
        return
    name = f"keys of the model in {evidence.topic}"
    if known_count:
        yield Check(
            name,
            "ok",
            f"The model knows {known_count} of {len(present)} keys; others warm up first.",
        )
        return
    difference = key_difference(present, evidence.model.keys)
    yield Check(
        name,
        "warn",
        f"The model knows none of the {len(present)} keys; {difference.sentence} "
        "Every key would warm up before it may alarm.",
        "Check input.key and input.key_from, or train on records of this topic "
        f"(`ember train kafka:{evidence.topic} --out DIR`).",
    )
