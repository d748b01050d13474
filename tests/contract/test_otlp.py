"""Sums of OTLP: counters and gauges told apart, in both encodings."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from stream.codecs import make_codec
from stream.records import Decoded, Temporality
from tests.contract.test_codecs import Message, chunk, tag, varint

START, T0 = 1_700_000_000_000_000_000, 1_700_000_060_000_000_000


def proto(kind: int, *, monotonic: bool, start_ns: int = START) -> bytes:
    """Request with one sum of one point."""
    times = tag(2, 1) + struct.pack("<Q", start_ns) + tag(3, 1) + struct.pack("<Q", T0)
    point = times + tag(4, 1) + struct.pack("<d", 5.0)
    body = tag(2, 0) + varint(kind) + tag(3, 0) + varint(monotonic) + chunk(1, point)
    return chunk(1, chunk(2, chunk(2, chunk(1, "x") + chunk(7, body))))


def as_json(kind: Any, *, monotonic: bool, start_ns: Any = str(START)) -> bytes:
    """Request with one sum of one point."""
    point = {"startTimeUnixNano": start_ns, "timeUnixNano": str(T0), "asDouble": 5.0}
    sums = {"dataPoints": [point], "aggregationTemporality": kind, "isMonotonic": monotonic}
    metrics = [{"name": "x", "sum": sums}]
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode()


def decode(*values: bytes) -> Decoded:
    return make_codec("otlp", ["x"]).decode([Message(b"k", value) for value in values])


@pytest.mark.parametrize(
    ("kind", "monotonic", "expected"),
    [
        (0, True, Temporality.GAUGE),
        (1, True, Temporality.DELTA),
        (1, False, Temporality.DELTA),
        (2, True, Temporality.CUMULATIVE),
        (2, False, Temporality.GAUGE),
        (7, True, Temporality.GAUGE),
    ],
)
def test_a_sum_tells_its_temporality(kind: int, monotonic: bool, expected: Temporality) -> None:
    """A cumulative sum that may fall is a level, such as the memory in use."""
    decoded = decode(proto(kind, monotonic=monotonic), as_json(kind, monotonic=monotonic))
    assert decoded.temporality is not None
    assert decoded.start_us is not None
    assert decoded.temporality.tolist() == [expected] * 2
    assert decoded.temporality.dtype == np.uint8
    assert decoded.start_us.tolist() == [START // 1000] * 2


def test_json_names_a_temporality() -> None:
    decoded = decode(
        as_json("AGGREGATION_TEMPORALITY_CUMULATIVE", monotonic=True),
        as_json("AGGREGATION_TEMPORALITY_DELTA", monotonic=True),
        as_json("unknown", monotonic=True),
        as_json({}, monotonic=True),
    )
    assert decoded.temporality is not None
    assert decoded.temporality.tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize("start_ns", [0, T0 + 1000, 2**64 - 1])
def test_an_impossible_start_is_unknown(start_ns: int) -> None:
    decoded = decode(
        proto(2, monotonic=True, start_ns=start_ns),
        as_json(2, monotonic=True, start_ns=str(start_ns)),
        as_json(2, monotonic=True, start_ns="then"),
    )
    assert decoded.start_us is not None
    assert decoded.start_us.tolist() == [0, 0, 0]


def test_formats_without_temporality_have_no_columns() -> None:
    decoded = make_codec("json", ["x"]).decode([Message(b"k", b'{"ts":1,"x":1}')])
    assert decoded.temporality is None
    assert decoded.start_us is None
