"""Keys that were forgotten: which records about them come late."""

from __future__ import annotations

import struct

import pytest

from stream.engine import Tombstone, TombstoneIndex, number_in, tombstone_of
from stream.engine.state import tombstones as module

KEY = b"key"


def row(offset: int) -> bytes:
    """A row's head, absorbed up to an offset."""
    return bytes(16) + struct.pack("<q", offset) + bytes(8)


def forgotten(absorbed: int) -> TombstoneIndex:
    graves = TombstoneIndex()
    assert not graves.late(KEY, Tombstone(absorbed), -1)
    return graves


@pytest.mark.parametrize(("offset", "late"), [(0, True), (40, True), (41, True), (42, False)])
def test_a_row_from_before_is_late_each_time_it_comes(offset: int, late: bool) -> None:
    graves = forgotten(41)
    assert graves.late(KEY, row(offset), -1) == late
    assert graves.late(KEY, row(offset), -1) == late
    assert (KEY in graves) == late


@pytest.mark.parametrize("value", [row(-1), b"short", row(3)[:-1], None])
def test_what_has_absorbed_nothing_is_never_late(value: bytes | None) -> None:
    """A rebased row, a damaged one, the word of a state tool: the grave is gone with it."""
    graves = forgotten(41)
    assert not graves.late(KEY, value, -1)
    assert KEY not in graves
    assert not graves.late(KEY, row(5), -1)


@pytest.mark.parametrize(("newest", "late"), [(41, False), (42, True)])
def test_a_tombstone_says_nothing_of_rows_beyond_it(newest: int, late: bool) -> None:
    graves = TombstoneIndex()
    assert graves.late(KEY, Tombstone(41), newest) == late
    assert (KEY in graves) != late


def test_other_keys_are_not_concerned() -> None:
    graves = forgotten(41)
    assert not graves.late(b"other", row(5), -1)
    assert KEY in graves
    graves.clear()
    assert KEY not in graves


def test_the_oldest_graves_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    graves = TombstoneIndex()
    for key in (b"1", b"2"):
        graves.late(key, Tombstone(41), -1)
    assert b"1" in graves
    graves.late(b"3", Tombstone(41), -1)
    assert [key in graves for key in (b"1", b"2", b"3")] == [False, True, True]


def test_headers_that_are_numbers() -> None:
    assert [number_in(header) for header in (b"41", b"-1", b"?", b"", None)] == [
        41,
        -1,
        None,
        None,
        None,
    ]
    assert tombstone_of({"ember.absorbed": b"0"}) == Tombstone(0)
    assert tombstone_of({"ember.absorbed": b"-1"}) is None
    assert tombstone_of({"ember.absorbed": None}) is None
    assert tombstone_of({}) is None
