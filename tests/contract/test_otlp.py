"""OTLP in both encodings: counters and gauges told apart, and statistics of distributions."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from stream.codecs import make_codec
from stream.codecs._otlp_distributions import (
    Exponential,
    explicit_quantile,
    exponential_quantile,
)
from stream.records import Decoded, Reason, Temporality
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


LABELS = [{"key": "route", "value": {"stringValue": "/"}}]
TIMES = {"startTimeUnixNano": str(START), "timeUnixNano": str(T0), "attributes": LABELS}
HISTOGRAM = {
    "count": "10",
    "sum": 25.0,
    "min": 0.5,
    "max": 7.5,
    "explicitBounds": [1.0, 2.0, 5.0],
    "bucketCounts": ["2", "4", "2", "2"],
    **TIMES,
}
EXPONENTIAL = {
    "count": "10",
    "sum": 40.0,
    "scale": 0,
    "zeroCount": "2",
    "positive": {"offset": 0, "bucketCounts": ["4", "4"]},
    **TIMES,
}
SUMMARY = {
    "count": "10",
    "sum": 40.0,
    "quantileValues": [{"quantile": 0.5, "value": 3.0}, {"quantile": 0.99, "value": 9.0}],
    **TIMES,
}


def request(**metric: Any) -> dict[str, Any]:
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "t", **metric}]}]}]}


def encodings(tree: dict[str, Any]) -> list[bytes]:
    """Return a request as protobuf, and as JSON with the names of JSON and of the .proto file."""
    message = json_format.ParseDict(tree, ExportMetricsServiceRequest())
    snake = json_format.MessageToJson(message, preserving_proto_field_name=True)
    return [message.SerializeToString(), json.dumps(tree).encode(), snake.encode()]


def statistics(tree: dict[str, Any], channels: list[str]) -> dict[str, tuple[float, int]]:
    """Return value and temporality of each channel that has a sample, the same in all encodings."""
    results = []
    for value in encodings(tree):
        decoded = make_codec("otlp", channels).decode([Message(b"k", value)])
        assert decoded.temporality is not None
        results_by_channel = {}
        for row, temporality in zip(decoded.values, decoded.temporality.tolist(), strict=True):
            (column,) = np.flatnonzero(~np.isnan(row)).tolist()
            results_by_channel[channels[column]] = (float(row[column]), temporality)
        results.append(results_by_channel)
    assert results[0] == results[1] == results[2]
    return results[0]


STATISTICS = ["t.count", "t.sum", "t.mean", "t.min", "t.max", "t.p50", "t.p90", "t.p99_9"]


def test_a_delta_histogram_has_all_statistics() -> None:
    """The quantiles are those of Prometheus: linear in a bucket, the last bound beyond it."""
    tree = request(histogram={"dataPoints": [HISTOGRAM], "aggregationTemporality": 1})
    assert statistics(tree, STATISTICS) == {
        "t.count": (10.0, 1),
        "t.sum": (25.0, 1),
        "t.mean": (2.5, 0),
        "t.min": (0.5, 0),
        "t.max": (7.5, 0),
        "t.p50": (1.75, 0),
        "t.p90": (5.0, 0),
        "t.p99_9": (5.0, 0),
    }


def test_a_cumulative_distribution_has_counters_only() -> None:
    """Its mean and quantiles would be those of all the time since the start."""
    for kind, point in (("histogram", HISTOGRAM), ("exponentialHistogram", EXPONENTIAL)):
        tree = request(**{kind: {"dataPoints": [point], "aggregationTemporality": 2}})
        total = float(point["sum"])  # type: ignore[arg-type]
        assert statistics(tree, STATISTICS) == {"t.count": (10.0, 2), "t.sum": (total, 2)}


def test_an_exponential_histogram_has_all_statistics() -> None:
    tree = request(exponentialHistogram={"dataPoints": [EXPONENTIAL], "aggregationTemporality": 1})
    results_by_channel = statistics(tree, STATISTICS)
    assert results_by_channel["t.mean"] == (4.0, 0)
    assert results_by_channel["t.p50"] == (pytest.approx(2**0.75), 0)
    assert results_by_channel["t.p90"] == (pytest.approx(2**1.75), 0)
    assert "t.min" not in results_by_channel


def test_a_summary_has_recorded_quantiles() -> None:
    channels = ["t_count", "t_sum", "t.p99", "t.p90", 't{quantile="0.5"}']
    assert statistics(request(summary={"dataPoints": [SUMMARY]}), channels) == {
        "t_count": (10.0, 2),
        "t_sum": (40.0, 2),
        "t.p99": (9.0, 0),
        't{quantile="0.5"}': (3.0, 0),
    }


def test_labels_select_statistics() -> None:
    tree = request(histogram={"dataPoints": [HISTOGRAM], "aggregationTemporality": 1})
    channels = ['t.mean{route="/"}', 't.mean{route="/x"}']
    assert statistics(tree, channels) == {'t.mean{route="/"}': (2.5, 0)}


@pytest.mark.parametrize(
    "change",
    [
        {"flags": 1},
        {"count": "0", "bucketCounts": ["0", "0", "0", "0"]},
        {"explicitBounds": [], "bucketCounts": []},
    ],
)
def test_a_histogram_without_observations_has_no_quantile(change: dict[str, Any]) -> None:
    point = {**HISTOGRAM, **change}
    tree = request(histogram={"dataPoints": [point], "aggregationTemporality": 1})
    assert statistics(tree, ["t.p50"]) == {}


def test_wrong_buckets_cost_their_quantiles() -> None:
    point = {**HISTOGRAM, "bucketCounts": ["1"]}
    tree = request(histogram={"dataPoints": [point], "aggregationTemporality": 1})
    for value in encodings(tree):
        decoded = make_codec("otlp", ["t.mean", "t.p50"]).decode([Message(b"k", value)])
        assert decoded.values[:, 0].tolist() == [2.5]
        assert [(bad.channel, bad.reason) for bad in decoded.bad_values] == [
            ("t.p50", Reason.WRONG_TYPE)
        ]


def test_a_gauge_may_be_named_like_a_statistic() -> None:
    """The Collector has `system.cpu.logical.count`."""
    point = {"timeUnixNano": str(T0), "asInt": "4"}
    assert statistics(request(name="cpu.count", gauge={"dataPoints": [point]}), ["cpu.count"]) == {
        "cpu.count": (4.0, 0)
    }


def test_json_writes_doubles_as_texts_and_lists_as_null() -> None:
    point = {**TIMES, "asDouble": "NaN"}
    infinite = {**HISTOGRAM, "sum": "Infinity", "min": "-Infinity"}
    tree = request(
        gauge={"dataPoints": [point]},
        sum={"dataPoints": None},
        histogram={"dataPoints": [infinite], "aggregationTemporality": 1},
    )
    decoded = make_codec("otlp", ["t", "t.sum", "t.max"]).decode(
        [Message(b"k", json.dumps(tree).encode())]
    )
    np.testing.assert_array_equal(decoded.values, [[np.nan, np.nan, 7.5]])


@pytest.mark.parametrize(
    ("share", "bounds", "buckets", "value"),
    [
        (0.5, [1.0], [4, 0], 0.5),
        (0.5, [-1.0, 1.0], [4, 0, 0], -1.0),
        (0.5, [-1.0, 1.0], [0, 4, 0], 0.0),
        (0.99, [1.0], [0, 4], 1.0),
        (0.0, [1.0, 2.0], [0, 4, 0], 1.0),
    ],
)
def test_explicit_quantiles(
    share: float, bounds: list[float], buckets: list[int], value: float
) -> None:
    assert explicit_quantile(share, bounds, buckets) == value


def test_exponential_quantiles_of_both_signs() -> None:
    histogram = Exponential(1, 2, 0.5, (2, [4]), (2, [4]))
    assert exponential_quantile(0.5, histogram) == 0.0
    low, high = (exponential_quantile(share, histogram) for share in (0.2, 0.8))
    assert low == pytest.approx(-high)
    assert 2.0 <= high <= 2.0**1.5
    assert math.isnan(exponential_quantile(0.5, Exponential(-40, 0, 0.0, (5, [1]), (0, []))))
    assert math.isnan(exponential_quantile(0.5, Exponential(0, 0, 0.0, (0, []), (0, []))))
