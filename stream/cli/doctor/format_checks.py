"""Checks of `ember doctor` on the format of the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from stream.records import Reason
from stream.types import ONE_METRIC_CODECS

from .evidence import Evidence
from .findings import Check

_WRONG_FORMAT = {Reason.NOT_JSON, Reason.WRONG_TYPE, Reason.NO_TIME}
"""Reasons by which a codec refuses the records of another format."""
_WITH_REGISTRY = ("avro", "protobuf")
_ABOUT_KEYS = {Reason.NO_KEY, Reason.BAD_KEY}
_ABOUT_TIMES = {Reason.NO_TIME, Reason.BAD_TIME, Reason.FUTURE}


def format_of_records(evidence: Evidence) -> Iterator[Check]:
    """Check that the codec is that of the records, and name the right one."""
    name = f"format of {evidence.topic}"
    guess, source = evidence.guess, evidence.settings.input
    if guess is None or not _is_misread(evidence):
        return
    if guess.codec is None:
        yield Check(
            name,
            "fail",
            f"The values are {guess.name}.",
            "Let the program write plain values; Kafka compresses them by compression.type.",
        )
    elif guess.codec != _family(source.codec):
        yield Check(
            name,
            "fail",
            f"The records look like {guess.name}, and input.codec is {source.codec!r}.",
            f'Set input.codec = "{guess.codec}"' + _registry(evidence, guess.codec),
        )
    elif guess.values and guess.values != source.values:
        yield Check(
            name,
            "fail",
            f"The records look like {guess.name}, and input.values is {source.values!r}.",
            f'Set input.values = "{guess.values}".',
        )


def with_right_format(evidence: Evidence) -> Evidence:
    """Return the evidence read by the codec that the bytes ask for, where the settings err."""
    guess, settings = evidence.guess, evidence.settings
    if guess is None or guess.codec is None or not _is_misread(evidence):
        return evidence
    changes = {"codec": guess.codec, "values": guess.values or settings.input.values}
    if guess.codec in _WITH_REGISTRY and not settings.input.schema_registry_url:
        return evidence
    window = settings.window
    if guess.codec in ONE_METRIC_CODECS and "mode" not in window.model_fields_set:
        window = window.model_copy(update={"mode": "time"})
    sections = {"input": settings.input.model_copy(update=changes), "window": window}
    return replace(evidence, settings=settings.model_copy(update=sections))


def _registry(evidence: Evidence, codec: str) -> str:
    """Return the end of the advice to use a codec."""
    lacks = codec in _WITH_REGISTRY and not evidence.settings.input.schema_registry_url
    return ", and input.schema_registry_url to the schemas' registry." if lacks else "."


def _is_misread(evidence: Evidence) -> bool:
    reading, guess = evidence.samples, evidence.guess
    is_other = guess is not None and guess.codec != _family(evidence.codec)
    if is_other and not len(reading.decoded):
        return True  # fields of another format's JSON may look like channels
    wrong = sum(refusal.reason in _WRONG_FORMAT for refusal in reading.refusals)
    return not evidence.channels or 2 * wrong > len(reading.records)


def _family(codec: str) -> str:
    """Return the codec without the encoding: `otlp` of `otlp_proto`."""
    return "otlp" if codec.startswith("otlp") else codec


def refusals(evidence: Evidence) -> Iterator[Check]:
    """Check that the codec takes the records; the checks of the keys tell of those without one."""
    name = f"records of {evidence.topic}"
    reading = evidence.samples
    total = len(reading.records)
    not_about_keys = [refusal for refusal in reading.refusals if refusal.reason not in _ABOUT_KEYS]
    if not reading.refusals:
        yield Check(name, "ok", f"All of the newest {total} are {evidence.codec}.")
    if not not_about_keys:
        return
    counts = Counter(refusal.reason for refusal in not_about_keys)
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    yield Check(
        name,
        "fail" if len(not_about_keys) == total else "warn",
        f"{len(not_about_keys)} of the newest {total} would be refused: {reasons}. "
        f"Last: {not_about_keys[-1].detail}",
        _fix(evidence, set(counts)),
    )


def _fix(evidence: Evidence, reasons: set[Reason]) -> str:
    """Return the settings to change, or to compare with a record."""
    unit = evidence.settings.input.time_unit
    if reasons == {Reason.BAD_TIME} and unit != "auto":
        return 'Set input.time_unit = "auto", or the unit of the records.'
    settings = []
    if reasons - _ABOUT_TIMES:
        settings.append("input.codec")
    if reasons & _ABOUT_TIMES:
        settings += ["input.time", "input.time_unit"]
    return f"Check {', '.join(settings)} against a record."
