"""Records and events: canonical bytes, ids, headers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.records import (
    TIME_MAX_US,
    TIME_MIN_US,
    Anomaly,
    Event,
    ModelRef,
    Reason,
    TopChannel,
    Trigger,
    Window,
    cloudevent_headers,
    encode_body,
    event_id,
    fingerprint,
    rfc3339,
)


def anomaly(**changes: Any) -> Anomaly:
    fields: dict[str, Any] = {
        "status": "firing",
        "labels": {"key": "web-1", "alertname": "EmberAnomaly"},
        "annotations": {"summary": "s", "description": "d"},
        "starts_at": "2026-01-31T00:00:00Z",
        "fingerprint": "00ff",
        "score": 12.5,
        "probability": 1e-4,
        "severity": 4.0,
        "threshold": 3.0,
        "window": Window("2026-01-30T23:59:00Z", "2026-01-31T00:00:00Z", 46, [1, 3, 5]),
        "top_channels": [TopChannel("cpu", 1.5, None, 1.0, "above")],
        "model": ModelRef("m", "1", "ab"),
    }
    return Anomaly(**{**fields, **changes})


def test_a_body_is_canonical() -> None:
    """Fields are in declared order, labels sorted, without spaces."""
    body = encode_body(anomaly())
    assert body == encode_body(anomaly(labels={"alertname": "EmberAnomaly", "key": "web-1"}))
    assert body.startswith(
        b'{"status":"firing","labels":{"alertname":"EmberAnomaly","key":"web-1"},"annotations":'
    )
    assert list(json.loads(body)) == [
        *("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "score"),
        *("probability", "severity", "threshold", "window", "top_channels", "model"),
        "schema_version",
    ]


def test_a_trigger_adds_its_own_fields_at_the_end() -> None:
    """A trigger adds reason, peak and rows."""
    shared = msgspec.structs.asdict(anomaly(status="resolved", ends_at="2026-01-31T00:01:00Z"))
    body = json.loads(encode_body(Trigger(**shared, reason="stale", peak=5.5, rows=7)))
    assert list(body)[-4:] == ["schema_version", "reason", "peak", "rows"]
    assert body["endsAt"] == "2026-01-31T00:01:00Z"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_to_the_same_bits(score: float) -> None:
    """NumPy's floats are written too: float64 as it is, float32 widened."""
    body = encode_body(anomaly(score=score))
    assert json.loads(body)["score"].hex() == score.hex()
    assert encode_body(anomaly(score=np.float64(score))) == body


def test_numpy_values_are_written_as_plain_numbers() -> None:
    """Scalars and arrays; anything else is refused."""
    body = json.loads(encode_body(anomaly(score=np.float32(0.1), top_channels=np.arange(2))))
    assert body["score"] == float(np.float32(0.1))
    assert body["top_channels"] == [0, 1]
    with pytest.raises(NotImplementedError, match="object"):
        encode_body(anomaly(score=object()))


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_700_000_000_120_000, "2023-11-14T22:13:20.120000Z"),
        (TIME_MIN_US, "1900-01-01T00:00:00Z"),
        (TIME_MAX_US, "2262-01-01T00:00:00Z"),
        (np.int64(1_000_000), "1970-01-01T00:00:01Z"),
    ],
)
def test_rfc3339(time_us: int, text: str) -> None:
    """UTC, exact to the microsecond."""
    assert rfc3339(time_us) == text


def test_event_ids_are_deterministic_and_fields_do_not_run_together() -> None:
    """A change of any field, or of a boundary between fields, gives another id."""
    base = ("telemetry", b"web-1", 1_700_000_000_000_000, 7, "anomaly")
    different_ids = [
        ("telemetryw", b"eb-1", *base[2:]),
        ("telemetry", b"web-", 11_700_000_000_000_000, 7, "anomaly"),
        (*base[:2], base[2] + 1, *base[3:]),
        (*base[:3], 8, "anomaly"),
        (*base[:4], "trigger"),
        (*base[:2], 170_000_000_000_000_07, 7, "anomaly"),
    ]
    ids = {event_id(*fields) for fields in [base, *different_ids]}
    assert len(ids) == 1 + len(different_ids)
    fields = [b"telemetry", b"web-1", b"1700000000000000", b"7", b"anomaly"]
    framed = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    assert event_id(*base) == hashlib.blake2b(framed, digest_size=16).hexdigest()
    assert event_id(*base[:2], np.int64(base[2]), np.int64(7), "anomaly") == event_id(*base)


def test_a_fingerprint_is_of_the_labels_whatever_their_order() -> None:
    """16 hex digits, like Alertmanager's."""
    labels = {"key": "web-1", "alertname": "x"}
    assert fingerprint(labels) == fingerprint(dict(reversed(labels.items())))
    assert fingerprint(labels) != fingerprint({"key": "web-1", "alertname": "y"})
    assert fingerprint({"a": "bc"}) != fingerprint({"ab": "c"})
    assert len(fingerprint({})) == 16


def test_cloudevent_headers() -> None:
    """Binary mode of CloudEvents 1.0; every value is UTF-8 bytes."""
    event = Event("trigger", b"web-1", "00ff", 1_700_000_000_000_000, b"{}")
    assert cloudevent_headers(event, "/ember-stream/ember") == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"00ff"),
        ("ce_type", b"dev.ember.trigger.v1"),
        ("ce_source", b"/ember-stream/ember"),
        ("ce_time", b"2023-11-14T22:13:20Z"),
        ("content-type", b"application/json"),
    ]


def test_reasons_are_names_for_labels_and_counters() -> None:
    """Lower case with underscores, and equal to their text."""
    assert Reason.NOT_JSON == "not_json"
    assert all(reason.value == reason.name.lower() for reason in Reason)
