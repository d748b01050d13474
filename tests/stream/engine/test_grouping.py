"""Records of several profiles in one slice: what belongs to each, and how results come together."""

from __future__ import annotations

import numpy as np
import pytest

from stream.engine.grouping import join, own_bad_values, without_foreign
from stream.engine.profiled_rows import join_dirty
from stream.engine.result import DirtyRows, RowsTaken, StepResult
from stream.records import BadValue, Decoded, Event, Reason, Rejected

NAN = float("nan")
COLUMNS = [np.array([0, 1]), np.array([1, 2])]


def slice_of(values: list[tuple[float, ...]], message: list[int], **more: object) -> Decoded:
    """Samples of keys that are their own names."""
    n = len(values)
    return Decoded(
        keys=[b"%d" % i for i in range(n)],
        time_us=np.arange(n, dtype=np.int64),
        values=np.array(values),
        message=np.array(message, dtype=np.int32),
        rejected=[Rejected(9, Reason.NOT_JSON, "")],
        **more,  # type: ignore[arg-type]
    )


def test_a_sample_without_a_channel_of_its_model_is_left_out() -> None:
    """As one that a codec of its model's channels alone would not have read; kinds go along."""
    decoded = slice_of(
        [(1.0, NAN, NAN), (NAN, NAN, 1.0), (NAN, 2.0, NAN), (NAN, NAN, 3.0)],
        [0, 1, 2, 2],
        temporality=np.array([0, 1, 2, 2], dtype=np.uint8),
        start_us=np.array([7, 8, 9, 10], dtype=np.int64),
    )
    own, sample = without_foreign(decoded, np.array([1, 1, 0, 0]), COLUMNS)
    assert (own.keys, sample.tolist()) == ([b"1", b"2"], [1, 2])
    assert own.temporality is not None
    assert own.start_us is not None
    assert (own.temporality.tolist(), own.start_us.tolist()) == ([1, 2], [8, 9])
    # Message 2 has another sample; message 0 has none left.
    assert [(each.message, each.reason) for each in own.rejected] == [
        (0, Reason.NO_CHANNELS),
        (9, Reason.NOT_JSON),
    ]


def test_a_slice_without_foreign_samples_stays_as_it_is() -> None:
    decoded = slice_of([(1.0, NAN, NAN), (NAN, NAN, 1.0)], [0, 1])
    own, sample = without_foreign(decoded, np.array([0, -1]), COLUMNS)
    assert own is decoded
    assert sample.tolist() == [0, 1]


def test_bad_values_count_where_a_key_of_the_message_has_the_channel() -> None:
    bad = [BadValue(0, "a", Reason.WRONG_TYPE), BadValue(1, "a", Reason.WRONG_TYPE)]
    decoded = slice_of([(1.0, 1.0, 1.0)] * 3, [0, 1, 2], bad_values=bad)
    sources = [frozenset("a"), frozenset("b")]
    assert own_bad_values(decoded, np.array([0, 1, -1]), sources).bad_values == bad[:1]


@pytest.mark.parametrize("limit", [0, 2, 5])
def test_changed_rows_come_one_engine_after_the_other_and_the_meta_row_once(limit: int) -> None:
    def taken(keys: list[bytes], tombstones: int, width: int) -> DirtyRows:
        rows = np.full((len(keys) - tombstones, width), len(keys), dtype=np.uint8)
        return DirtyRows([*keys, b"meta"], RowsTaken(tombstones, rows, b"{}"))

    joined = join_dirty([taken([b"x", b"a", b"b"], 1, 2), taken([], 0, 9), taken([b"c"], 0, 3)])
    expected = [None, b"\x03\x03", b"\x03\x03", b"\x01\x01\x01", b"{}"]
    assert joined.keys == [b"x", b"a", b"b", b"c", b"meta"]
    assert list(joined.rows) == expected
    assert joined.rows[:limit] == expected[:limit]
    assert joined.rows[-1] == b"{}"
    assert len(joined.rows) == 5


def test_events_come_in_the_order_of_the_messages_and_each_profile_keeps_its_own() -> None:
    def event(name: str) -> Event:
        return Event(id=name, kind="anomaly", key=b"", time_us=0, body=b"")

    # What the first one tells at last, of a key restored from the disk, names the first message.
    first = StepResult(events=[event("a"), event("b"), event("c")], sources=[0, 4, 0])
    second = StepResult(events=[event("d"), event("e")], sources=[0, 3], late=[3])
    into = StepResult()
    join([first, second], into)
    assert [each.id for each in into.events] == ["a", "d", "e", "b", "c"]
    assert into.sources == [0, 0, 3, 4, 0]
    assert into.late == [3]
