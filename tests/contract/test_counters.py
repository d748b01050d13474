"""Counters of every format: their rates are those that plain Python finds in the same samples."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest

from ember_core.rows import RecipeChannel, RowRecipe
from stream.codecs import make_codec
from stream.engine import RowMaker, RowPlan, Samples, WindowSpec
from tests.contract.test_codecs import Message, chunk, tag, varint
from tests.stream.engine.plain_rows import PlainSample, plain_rows

SECOND = 1_000_000
T0 = 1_700_000_000 * SECOND
WINDOWS = {
    "count": WindowSpec("count"),
    "time": WindowSpec("time", 30 * SECOND, 15 * SECOND),
}


@dataclass(frozen=True)
class Point:
    """A sample of the counter, with the start of its process."""

    time_us: int
    value: float
    start_us: int


def counter(*, delta: bool = False) -> list[Point]:
    """A counter with two resets: one falls, one has grown beyond the old value by then."""
    rng = np.random.default_rng(8)
    points, total, start_us = [], 0.0, T0
    for i in range(1, 80):
        time_us = T0 + i * 10 * SECOND
        grown = float(rng.integers(0, 90))
        if i == 30:
            total, start_us = 0.0, time_us - 4 * SECOND
        if i == 60:
            total, start_us, grown = 0.0, time_us - 4 * SECOND, total + 500.0
        total += grown
        if i not in (17, 18, 45):  # lost on the way
            since = max(start_us, time_us - 10 * SECOND)
            points.append(Point(time_us, grown if delta else total, since if delta else start_us))
    return points


def telegraf(point: Point) -> bytes:
    fields = {"bytes": point.value}
    record = {"name": "net", "tags": {}, "fields": fields, "timestamp": point.time_us // SECOND}
    return json.dumps(record).encode()


def influx(point: Point) -> bytes:
    return f"net,host=a bytes={point.value:.0f}i {point.time_us}000".encode()


def prometheus(point: Point) -> bytes:
    at = datetime.fromtimestamp(point.time_us / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = {"timestamp": at, "value": str(point.value), "name": "net_bytes_total"}
    return json.dumps(record | {"labels": {"__name__": "net_bytes_total"}}).encode()


def plain_json(point: Point) -> bytes:
    return json.dumps({"ts": point.time_us // 1000, "values": {"bytes": point.value}}).encode()


def otlp_json(kind: int) -> Callable[[Point], bytes]:
    def encode(point: Point) -> bytes:
        data = {
            "startTimeUnixNano": str(point.start_us * 1000),
            "timeUnixNano": str(point.time_us * 1000),
            "asInt": str(int(point.value)),
        }
        sums = {"dataPoints": [data], "aggregationTemporality": kind, "isMonotonic": True}
        metrics = [{"name": "net.bytes", "sum": sums}]
        return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode()

    return encode


def otlp_proto(kind: int) -> Callable[[Point], bytes]:
    def encode(point: Point) -> bytes:
        times = tag(2, 1) + struct.pack("<Q", point.start_us * 1000)
        times += tag(3, 1) + struct.pack("<Q", point.time_us * 1000)
        data = times + tag(4, 1) + struct.pack("<d", point.value)
        body = tag(2, 0) + varint(kind) + tag(3, 0) + varint(1) + chunk(1, data)
        return chunk(1, chunk(2, chunk(2, chunk(1, "net.bytes") + chunk(7, body))))

    return encode


FORMATS: dict[str, tuple[str, str, Callable[[Point], bytes], int]] = {
    "json": ("json", "bytes", plain_json, 0),
    "telegraf": ("telegraf", "net.bytes", telegraf, 0),
    "influx": ("influx", "net.bytes", influx, 0),
    "prometheus": ("prometheus", "net_bytes_total", prometheus, 0),
    "otlp json, cumulative": ("otlp", "net.bytes", otlp_json(2), 2),
    "otlp json, delta": ("otlp_json", "net.bytes", otlp_json(1), 1),
    "otlp protobuf, cumulative": ("otlp_proto", "net.bytes", otlp_proto(2), 2),
    "otlp protobuf, delta": ("otlp", "net.bytes", otlp_proto(1), 1),
}


def rates(
    codec: str, channel: str, values: Sequence[bytes], window: WindowSpec
) -> list[tuple[int, float]]:
    """Rows of the rate of one channel, as the stream makes them of messages."""
    recipe = RowRecipe((RecipeChannel("rate", channel, "rate"),))
    plan = RowPlan(recipe.names, window, recipe)
    decoded = make_codec(codec, recipe.sources).decode([Message(b"a", v) for v in values])
    assert not decoded.rejected
    n = len(decoded)
    samples = Samples(
        plan.new_fields(1),
        np.arange(n),
        np.zeros(n, dtype=np.int64),
        decoded.time_us,
        decoded.values,
        decoded.temporality,
        decoded.start_us,
    )
    rows = RowMaker(plan).complete(samples).rows
    return list(zip(rows.time_us.tolist(), rows.values[:, 0].tolist(), strict=True))


@pytest.mark.parametrize("mode", WINDOWS)
@pytest.mark.parametrize("name", FORMATS)
def test_the_rate_of_a_counter_with_resets_is_that_of_its_samples(name: str, mode: str) -> None:
    codec, channel, encode, temporality = FORMATS[name]
    points, window = counter(delta=temporality == 1), WINDOWS[mode]
    got = rates(codec, channel, [encode(point) for point in points], window)
    # Only OTLP tells the start: there the second reset is seen as well.
    samples = [
        PlainSample(p.time_us, [p.value], temporality, p.start_us if temporality else 0)
        for p in points
    ]
    expected, late = plain_rows(samples, ["rate"], window)
    assert not late
    assert [time for time, _ in got] == [time for time, _ in expected]
    np.testing.assert_allclose([x for _, x in got], [row[0] for _, row in expected], rtol=1e-12)
    present = [x for _, x in got if x == x]
    assert all(x >= 0 for x in present)
    if temporality:  # the growth of 500 and more is in no longer time than it took
        assert max(present) > 50.0 / (3.0 if mode == "time" else 1.0)


def test_both_temporalities_of_a_counter_give_the_same_rates() -> None:
    """Where nothing was lost and nothing began anew: a delta then covers the time between two."""
    cumulative, delta = (counter(delta=d)[18:25] for d in (False, True))
    window = WINDOWS["count"]
    one = rates("otlp", "net.bytes", [otlp_proto(2)(p) for p in cumulative], window)
    other = rates("otlp", "net.bytes", [otlp_json(1)(p) for p in delta], window)
    assert one[1:] == other[1:]
    assert np.isnan(one[0][1])  # the first sample of a key has nothing before it
    assert other[0][1] == delta[0].value / 10.0  # a delta needs nothing
