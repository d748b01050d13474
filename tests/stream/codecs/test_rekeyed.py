"""Re-keyed records: what is written is read back, and what is no such record is refused."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codecs import RekeyedCodec, make_codec, rekeyed_json
from stream.codecs._rekeyed import Rekeyed
from stream.codecs._rekeyed_table import RekeyedTable
from stream.records import TIME_MAX_US, TIME_MIN_US, Decoded, Reason, SourcePosition, Temporality
from stream.rekeying import SEQUENCE_HEADER, SOURCE_HEADER, Source, source_of

NAN = float("nan")
CHANNELS = ("cpu", 'the "quoted"\nname', "")
TIME = 1_700_000_000_123_456


class Message(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = []  # noqa: RUF012
    timestamp: int = 0
    offset: int = 0


def decoded(*samples: tuple[int, bytes, int, list[float]], **columns: Any) -> Decoded:
    return Decoded(
        keys=[key for _, key, _, _ in samples],
        time_us=np.array([time for _, _, time, _ in samples], dtype=np.int64),
        values=np.array([row for *_, row in samples], dtype=np.float64).reshape(-1, 3),
        message=np.array([message for message, *_ in samples], dtype=np.int32),
        rejected=[],
        **columns,
    )


def through(codec: RekeyedCodec, batch: Decoded) -> Decoded:
    return codec.decode(messages_of(codec.encode(batch)))


def messages_of(records: Rekeyed) -> list[Message]:
    return [Message(key, value) for key, value in zip(records.key, records.value, strict=True)]


numbers = st.one_of(st.just(NAN), st.floats(-1e150, 1e150))


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=9).filter(lambda key: not key.startswith(b"\0")),
            st.integers(TIME_MIN_US, TIME_MAX_US - 1),
            st.lists(numbers, min_size=3, max_size=3).filter(lambda row: row != [NAN] * 3),
        ),
        max_size=9,
    )
)
def test_samples_come_back_bit_for_bit(samples: list[tuple[bytes, int, list[float]]]) -> None:
    codec = RekeyedCodec(CHANNELS)
    kept = [s for s in samples if not np.isnan(s[2]).all()]
    batch = decoded(*((i, *sample) for i, sample in enumerate(kept)))
    read = through(codec, batch)
    assert read.keys == batch.keys
    assert read.time_us.tolist() == batch.time_us.tolist()
    assert read.values.tobytes() == batch.values.tobytes()
    assert not read.rejected
    assert read.temporality is read.positions is None


def test_it_is_messagepack_that_names_its_channels() -> None:
    """Whether a slice has the same channels throughout or not; and it is told as JSON."""
    channels = ("cpu", "load", "memory")
    both = [0.25, NAN, -1e-9]
    for rows in ([both, both], [both, [NAN, 1.0, NAN]]):
        samples = decoded(*((n, b"web-1", TIME, row) for n, row in enumerate(rows)))
        value = RekeyedCodec(channels).encode(samples).value[0]
        assert msgspec.msgpack.decode(value) == {
            "channels": ["cpu", "memory"],
            "ts": TIME,
            "values": [0.25, -1e-9],
        }
    text = rekeyed_json(value)
    assert text == b'{"ts":1700000000123456,"values":{"cpu":0.25,"memory":-1e-9}}'
    read = make_codec("json", channels, time_unit="us").decode([Message(b"web-1", text)])
    assert (read.time_us.tolist(), read.keys) == ([TIME], [b"web-1"])
    assert rekeyed_json(b"{") == b"{"


@pytest.mark.parametrize("width", [1, 15, 16, 300, 70_000])
def test_records_of_any_width_are_one_table(width: int) -> None:
    """MessagePack has other heads for longer lists."""
    channels = [f"c{n}" for n in range(width)]
    table = RekeyedTable(channels)
    values = np.arange(2.0 * width).reshape(2, width)
    raws = table.encode(np.array([TIME, -TIME]), values)
    assert msgspec.msgpack.decode(raws[1])["values"] == values[1].tolist()
    read = table.decode(raws)
    assert read is not None
    assert (read[0].tolist(), read[1].tolist()) == ([TIME, -TIME], values.tolist())
    for place in range(0, len(raws[0]), max(1, len(raws[0]) // 99)):
        damaged = bytearray(raws[1])
        damaged[place] ^= 1
        read = table.decode([raws[0], bytes(damaged)])
        if read is not None:
            other = msgspec.msgpack.decode(damaged)
            assert other["channels"] == channels
            assert (read[0][1], read[1][1].tolist()) == (other["ts"], other["values"])
    assert table.decode([raws[0], raws[1] + b"."]) is None


def test_samples_of_one_message_key_and_time_are_one_record() -> None:
    """Of another key, time or message they are not, nor where a channel would be lost."""
    codec = RekeyedCodec(CHANNELS)
    batch = decoded(
        (0, b"a", TIME, [1.0, NAN, NAN]),
        (0, b"b", TIME, [2.0, NAN, NAN]),
        (0, b"a", TIME, [NAN, 3.0, NAN]),  # joins the first
        (0, b"a", TIME + 1, [NAN, NAN, 4.0]),
        (0, b"a", TIME, [5.0, NAN, NAN]),  # another cpu of the same time
        (0, b"a", TIME, [NAN, NAN, 6.0]),  # joins the last
        (2, b"a", TIME, [7.0, NAN, NAN]),
    )
    records = codec.encode(batch)
    assert list(zip(records.message, records.number, records.key, strict=True)) == [
        (0, 0, b"a"),
        (0, 1, b"b"),
        (0, 2, b"a"),
        (0, 3, b"a"),
        (2, 0, b"a"),
    ]
    read = through(codec, batch)
    np.testing.assert_equal(
        read.values.tolist(),
        [[1.0, 3.0, NAN], [2.0, NAN, NAN], [NAN, NAN, 4.0], [5.0, NAN, 6.0], [7.0, NAN, NAN]],
    )


def test_temporality_and_start_are_kept() -> None:
    kinds = np.array([Temporality.CUMULATIVE, Temporality.DELTA, Temporality.GAUGE], np.uint8)
    starts = np.array([TIME - 10, TIME - 20, 0], np.int64)
    batch = decoded(
        (0, b"a", TIME, [1.0, NAN, NAN]),
        (0, b"a", TIME, [NAN, 2.0, NAN]),  # of another kind: a record of its own
        (1, b"a", TIME, [NAN, 2.0, NAN]),
        temporality=kinds,
        start_us=starts,
    )
    read = through(RekeyedCodec(CHANNELS), batch)
    assert read.temporality is not None
    assert read.start_us is not None
    assert read.temporality.tolist() == kinds.tolist()
    assert read.start_us.tolist() == starts.tolist()


def test_a_record_of_another_model_has_the_channels_that_both_know() -> None:
    records = RekeyedCodec(("cpu", "old", "")).encode(decoded((0, b"a", TIME, [1.0, 2.0, NAN])))
    read = RekeyedCodec(("new", "cpu")).decode(messages_of(records))
    np.testing.assert_equal(read.values.tolist(), [[NAN, 1.0]])


def record(channels: Any = ("cpu",), ts: Any = TIME, values: Any = (0.25,), **more: Any) -> bytes:
    return msgspec.msgpack.encode({"channels": channels, "ts": ts, "values": values, **more})


GOOD = record()


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"a", None, Reason.EMPTY),
        (b"a", b"", Reason.NOT_JSON),
        (b"a", b"\x90", Reason.WRONG_TYPE),
        (b"a", b'{"ts":1700000000123456,"values":{"cpu":0.25}}', Reason.WRONG_TYPE),
        (b"a", GOOD[:-1], Reason.NOT_JSON),
        (b"a", GOOD + GOOD, Reason.NOT_JSON),
        (b"a", msgspec.msgpack.encode({"channels": ["cpu"], "values": [1.0]}), Reason.WRONG_TYPE),
        (b"a", record(ts=2**64 - 1), Reason.BAD_TIME),
        (b"a", record(ts=TIME_MAX_US), Reason.BAD_TIME),
        (b"a", record(values=[None]), Reason.WRONG_TYPE),
        (b"a", record(values=[1.0, 2.0]), Reason.WRONG_TYPE),
        (b"a", record(channels=[1]), Reason.WRONG_TYPE),
        (b"a", record(values=[1e151]), Reason.OUT_OF_RANGE),
        (b"a", record(values=[float("inf")]), Reason.OUT_OF_RANGE),
        (b"a", record(values=[NAN]), Reason.NO_CHANNELS),
        (b"a", record(channels=["other"]), Reason.NO_CHANNELS),
        (b"a", record(temporality=256), Reason.WRONG_TYPE),
        (None, GOOD, Reason.NO_KEY),
        (b"", GOOD, Reason.NO_KEY),
        (b"\x00ember.meta", GOOD, Reason.BAD_KEY),
        (b"k" * 513, GOOD, Reason.BAD_KEY),
    ],
)
def test_whatever_else_lies_there_is_refused(
    key: bytes | None, value: bytes | None, reason: Reason
) -> None:
    """And costs the others nothing."""
    read = RekeyedCodec(CHANNELS).decode(
        [Message(b"a", GOOD), Message(key, value), Message(b"b", GOOD)]
    )
    assert [(r.message, r.reason) for r in read.rejected] == [(1, reason)]
    assert read.message.tolist() == [0, 2]
    assert read.keys == [b"a", b"b"]


def test_the_source_of_a_record_stands_in_its_headers() -> None:
    source = Source("tele.metry-1", 3, 2**40, 7)
    assert source.encode() == b"tele.metry-1:3:1099511627776:7"
    headers = [(SOURCE_HEADER, source.encode())]
    assert source_of(headers) == source
    assert source_of([(SOURCE_HEADER, b"nonsense")]) is source_of([]) is None
    codec = RekeyedCodec(CHANNELS)
    once = codec.decode([Message(b"a", GOOD, headers)])
    assert once.positions is None
    twice = codec.decode([Message(b"a", GOOD, [*headers, (SEQUENCE_HEADER, b"id:3")])])
    assert twice.positions == {0: SourcePosition("id:3", 2**40, 7)}
