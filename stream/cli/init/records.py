"""Plan for records: of a topic, a dump of one, or a file with a record a line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stream.cli.doctor.evidence import Evidence
from stream.cli.doctor.findings import Check
from stream.cli.doctor.sample import examine_records
from stream.codecs import ChannelFinder
from stream.errors import UserError
from stream.settings import Settings
from stream.types import CodecName, KeyFrom

from .ask import Questions
from .channels import examine_channels, samples_by_key
from .connection import REGISTRY
from .fields import Path
from .formats import Format, choose_format, with_input
from .key_fields import KeyFields
from .keys import KeyChoice, choose_key, given_key
from .partitions import needs_rekeying
from .plan import Decision, Plan
from .rows import RowChoice, choose_rows
from .source import Sample, take

_WITHOUT_KAFKA: Final = ("clock of", "keys of", "event times of")
"""Checks that say nothing of a file of values."""


@dataclass(frozen=True)
class Wishes:
    """Choices of the user; empty ones are made by the records.

    Attributes:
        codec: Value of `input.codec`.
        key: Value of `input.key`, or `kafka`.
        key_from: Value of `input.key_from`.
        time: Value of `input.time`.
        zone: Value of `input.time_zone`.
        interval_seconds: Value of `window.interval_seconds`.
        topic: Name of the input topic, for a file that does not tell.
    """

    codec: CodecName | None = None
    key: str = ""
    key_from: KeyFrom | None = None
    time: str = ""
    zone: str = ""
    interval_seconds: float | None = None
    topic: str = ""


def plan_records(source: str, settings: Settings, wishes: Wishes, questions: Questions) -> Plan:
    """Look at records, and choose the settings that fit them.

    Args:
        source: `kafka:NAME`, or the path of a file.
        settings: Settings of the cluster and of the schema registry.
        wishes: Choices of the user.
        questions: Questions to the user.

    Raises:
        UserError: If there are no records, or no codec reads them.
    """
    sample = take(source, settings)
    form = choose_format(sample, settings, codec=wishes.codec, time=wishes.time, zone=wishes.zone)
    topic = _topic(sample, wishes, questions)
    options: dict[str, Any] = {"codec": form.chosen.codec, **form.chosen.settings}
    evidence = with_input(settings, sample, sample.records, **options)
    key = _key(evidence, form, wishes, questions)
    options |= key.settings
    evidence = with_input(settings, sample, sample.records, **options)
    rekey, rekey_reason = needs_rekeying(evidence, sample.partitions)
    rows = choose_rows(evidence, wishes.interval_seconds)
    channels = list(evidence.channels)
    if not len(evidence.samples.decoded):
        raise UserError(_no_samples(sample, evidence))
    facts = examine_channels(
        channels,
        samples_by_key(evidence.samples.decoded),
        rows.interval_seconds if rows.mode == "time" else None,
    )
    registry = {n: getattr(settings.input, n) for n in REGISTRY if getattr(settings.input, n)}
    if form.chosen.codec not in ("avro", "protobuf"):
        registry = {}
    elif settings.input.schema_registry_password_file is not None:
        registry["schema_registry_password_file"] = str(
            settings.input.schema_registry_password_file
        )
    input_table = {
        "topics": [topic],
        **_without_defaults(options),
        **registry,
        **({"rekey": True} if rekey else {}),
    }
    final = with_input(settings, sample, sample.records, **{**options, "rekey": rekey})
    window = final.settings.window.model_copy(update=rows.settings)
    final.settings = final.settings.model_copy(update={"window": window})
    return Plan(
        source=sample.name,
        data=shlex.quote(sample.data),
        input=input_table,
        window=rows.settings,
        channels=facts,
        decisions=list(_decisions(topic, sample, form, key, rekey, rekey_reason, rows)),
        texts=_texts(evidence),
        findings=_findings(final, sample),
    )


def _topic(sample: Sample, wishes: Wishes, questions: Questions) -> str:
    if sample.topic:
        return sample.topic
    return wishes.topic or questions.text("Topic that the records will come from", "telemetry")


def _key(evidence: Evidence, form: Format, wishes: Wishes, questions: Questions) -> KeyChoice:
    """Return the key that the user names, or the likeliest one; ask where others may do."""
    if wishes.key or wishes.key_from == "kafka":
        return given_key(evidence, wishes.key, wishes.key_from)
    time: Path = form.chosen.time.path if form.chosen.time is not None else ()
    choice = choose_key(KeyFields(evidence, time), evidence.settings.input.topics[0])
    if not choice.is_clear and questions.enabled:
        options = list(dict.fromkeys((choice.name, *choice.alternatives)))
        answer = questions.choose(
            "Stream key, of which each alarms on its own:", options, choice.name
        )
        if answer != choice.name:
            return given_key(evidence, answer, None)
    return choice


def _without_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from their defaults, but those that a reader looks for."""
    defaults = {
        "key": "",
        "key_from": "kafka",
        "time": "ts",
        "time_unit": "auto",
        "time_format": "",
        "time_zone": "",
    }
    return {name: value for name, value in options.items() if defaults.get(name) != value}


def _decisions(
    topic: str,
    sample: Sample,
    form: Format,
    key: KeyChoice,
    rekey: bool,
    rekey_reason: str,
    rows: RowChoice,
) -> Iterator[Decision]:
    yield Decision("topic", topic, "" if sample.topic else "a file names none (--topic)")
    yield Decision("format", form.chosen.codec, form.reason)
    origin = key.key if key.key else "the Kafka key"
    reason = key.reason
    if key.alternatives:
        reason += f"; also there: {', '.join(key.alternatives)} (--key)"
    yield Decision("key", origin, reason)
    yield Decision("re-keying", "yes" if rekey else "no", rekey_reason)
    time = form.chosen.time
    if time is not None:
        yield Decision("time", time.settings["time"] or "Kafka's timestamp", time.reason)
    if time is not None and time.zone:
        reason = "times without an offset, by Kafka's: name your zone where its clocks change"
        yield Decision("time zone", time.zone, reason)
    shape = form.chosen.settings
    if shape.get("values"):
        yield Decision("channels in", shape["values"], "all numbers are in it")
    if shape.get("decimal"):
        yield Decision("decimal", shape["decimal"], "numbers in text have a comma")
    if shape.get("records"):
        yield Decision("records in", shape["records"], "a list of records in each message")
    spacing = f"a value every {rows.interval_seconds:g} s, {rows.order}"
    if not rows.is_measured:
        spacing = "too few records to tell the interval, so the default (--interval-seconds)"
    choice = "each record" if rows.mode == "count" else f"intervals of {rows.interval_seconds:g} s"
    yield Decision("rows", choice, f"{rows.reason}; {spacing}")


def _texts(evidence: Evidence) -> list[str]:
    """Return the fields whose values are no numbers."""
    options = dict(evidence.settings.input.codec_options())
    finder = ChannelFinder(evidence.codec, **options)
    finder.show(evidence.records[-300:])
    return finder.texts()


def _findings(evidence: Evidence, sample: Sample) -> list[Check]:
    """Return the findings of the checks of `ember doctor` that ask for something."""
    findings = [check for check in examine_records(evidence) if check.status in ("warn", "fail")]
    if sample.kind != "values":
        return findings
    return [check for check in findings if not check.name.startswith(_WITHOUT_KAFKA)]


def _no_samples(sample: Sample, evidence: Evidence) -> str:
    refusals: Sequence[Any] = evidence.samples.refusals
    detail = f" {refusals[-1].detail}" if refusals else ""
    return (
        f"No record of {sample.name} gives a row. Expected records with a key, a time and "
        f"numbers. Received: {len(sample.records):,} others.{detail} Name the fields with --key "
        "and --time."
    )
