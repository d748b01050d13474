"""The merge of changelog records, and how far memory goes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stream.engine import META_KEY, MetaRow, Tombstone
from stream.kafka.protocol.changelog import Changelog
from stream.observer import Observer
from tests.broker.counting import CountingEngine

TP = ("in", 0)


class Engine:
    """Takes everything and writes down what it was given."""

    def __init__(self) -> None:
        self.loaded: list[Any] = []

    def load(self, tp: Any, keys: Any, values: Any) -> Any:
        self.loaded.append((list(keys), list(values)))
        return SimpleNamespace(accepted=len(keys), stale=0, damaged=[(b"bad", "short")])


def record(offset: int, key: bytes | None = b"k", headers: Any = (), absorbed: int = 0) -> Any:
    value = MetaRow(absorbed=absorbed).encode() if key == META_KEY else b"v"
    return SimpleNamespace(offset=offset, key=key, value=value, headers=headers)


def test_records_already_in_memory_are_not_loaded_again() -> None:
    engine = Engine()
    changelog = Changelog(engine, Observer())  # type: ignore[arg-type]
    assert changelog.stored(TP) is None
    changelog.load(TP, [record(3), record(5)])
    changelog.load(TP, [record(5), record(6)])
    assert [len(keys) for keys, _ in engine.loaded] == [2, 1]
    assert changelog.stored(TP) == 6


def test_own_writes_and_markers_count_as_read() -> None:
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    changelog.wrote(TP, 40, 7, 3)
    changelog.reached(TP, 41)
    changelog.reached(TP, 12)
    assert changelog.stored(TP) == 41
    assert changelog.committed_before(TP) == 7
    changelog.wrote(TP, -1, 9, 4)
    assert changelog.stored(TP) == 41


def test_the_meta_rows_header_says_what_was_committed_before() -> None:
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    changelog.load(TP, [record(1, META_KEY, [("ember.committed", b"55")])])
    assert changelog.committed_before(TP) == 55
    changelog.load(TP, [record(2, META_KEY, [("ember.committed", b"-1")])])
    assert changelog.committed_before(TP) == -1
    changelog.load(TP, [record(3, META_KEY, [])])
    assert changelog.committed_before(TP) is None


@pytest.mark.parametrize("not_a_number", [b"--5", b"five", b"", b"9" * 5000])
def test_a_header_that_is_no_number_says_nothing(not_a_number: bytes) -> None:
    """Who may write to the changelog must not be able to keep a worker from starting."""
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    changelog.load(TP, [record(1, META_KEY, [("ember.committed", b"55")])])
    changelog.load(TP, [record(2, META_KEY, [("ember.committed", not_a_number)])])
    assert changelog.committed_before(TP) is None


def test_a_late_meta_row_does_not_say_what_was_committed() -> None:
    """A suspended worker may write after its successor: what it had found is long past."""
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    changelog.load(TP, [record(1, META_KEY, [("ember.committed", b"50")], absorbed=99)])
    changelog.load(TP, [record(2, META_KEY, [("ember.committed", b"40")], absorbed=60)])
    assert changelog.committed_before(TP) == 50
    changelog.wrote(TP, 3, 100, 120)
    changelog.load(TP, [record(4, META_KEY, [("ember.committed", b"100")], absorbed=110)])
    assert changelog.committed_before(TP) == 100


@pytest.mark.parametrize(("absorbed", "committed"), [(118, 100), (119, 77)])
def test_what_was_written_here_is_late_no_less(absorbed: int, committed: int) -> None:
    """Up to offset 119 our own checkpoint had absorbed; a meta row of that or more is newer."""
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    changelog.wrote(TP, 3, 100, 120, b"ours")
    assert changelog.meta(TP) == b"ours"
    row = record(4, META_KEY, [("ember.committed", b"77")], absorbed=absorbed)
    changelog.load(TP, [row])
    assert changelog.committed_before(TP) == committed


def test_an_offset_that_the_broker_did_not_say_is_none() -> None:
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    changelog.wrote(TP, -1, 100, 120)
    assert changelog.stored(TP) is None


def test_a_copy_from_the_disk_is_what_is_there() -> None:
    engine = Engine()
    changelog = Changelog(engine, Observer())  # type: ignore[arg-type]
    meta = MetaRow(absorbed=99).encode()
    changelog.restored(TP, 41, meta, 60)
    assert engine.loaded == [([META_KEY], [meta])]
    assert (changelog.stored(TP), changelog.meta(TP)) == (41, meta)
    assert changelog.committed_before(TP) == 60
    changelog.load(TP, [record(42, META_KEY, [("ember.committed", b"5")], absorbed=98)])
    assert (changelog.meta(TP), changelog.committed_before(TP)) == (meta, 60)  # that came late
    changelog.restored(TP, 43, MetaRow(absorbed=120).encode(), None)
    assert changelog.committed_before(TP) == 60


def test_a_copy_that_is_none_changes_nothing() -> None:
    engine = Engine()
    changelog = Changelog(engine, Observer())  # type: ignore[arg-type]
    with pytest.raises(msgspec.DecodeError):
        changelog.restored(TP, 41, b"garbage", 60)
    assert engine.loaded == []
    assert (changelog.stored(TP), changelog.meta(TP)) == (None, b"")


def test_a_copy_from_before_a_rebase_is_overtaken() -> None:
    """Rows of a rebase seem older than those of the copy."""
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    same, other = (MetaRow(absorbed=9, rebased=n).encode() for n in (2, 3))
    changelog.load(TP, [])
    of_other = SimpleNamespace(offset=7, key=META_KEY, value=other, headers=())
    assert not changelog.overtaken(TP, [of_other])  # nothing came from the disk
    changelog.restored(TP, 5, same, None)
    row = SimpleNamespace(offset=6, key=b"k", value=None, headers=())
    of_same = SimpleNamespace(offset=6, key=META_KEY, value=same, headers=())
    damaged = SimpleNamespace(offset=6, key=META_KEY, value=b"?", headers=())
    assert changelog.overtaken(TP, [row, of_same, damaged]) is False
    assert changelog.overtaken(TP, [row, of_same, of_other])
    gone = SimpleNamespace(offset=6, key=META_KEY, value=None, headers=())
    assert changelog.overtaken(TP, [row, gone])
    changelog.drop(TP)
    assert not changelog.overtaken(TP, [of_other])


def test_a_meta_row_that_is_damaged_says_nothing() -> None:
    """The engine says that it is; what was known before stays."""
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    changelog.load(TP, [record(1, META_KEY, [("ember.committed", b"50")], absorbed=99)])
    known = changelog.meta(TP)
    for value in (b"garbage", b'"\xff"'):
        damaged = SimpleNamespace(
            offset=2, key=META_KEY, value=value, headers=[("ember.committed", b"7")]
        )
        changelog.load(TP, [damaged])
        assert (changelog.committed_before(TP), changelog.meta(TP)) == (50, known)


def test_without_anything_new_nothing_is_merged() -> None:
    engine = Engine()
    changelog = Changelog(engine, Observer())  # type: ignore[arg-type]
    assert changelog.load(TP, []) == 0
    assert changelog.load(TP, [record(4)]) == 1
    engine.loaded.clear()
    assert changelog.load(TP, [record(3), record(4)]) == 0
    assert engine.loaded == []


def test_a_meta_row_that_is_gone_leaves_nothing_of_it() -> None:
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    changelog.load(TP, [record(1, META_KEY, [("ember.committed", b"50")], absorbed=99)])
    gone = SimpleNamespace(offset=2, key=META_KEY, value=None, headers=())
    changelog.load(TP, [gone])
    assert (changelog.committed_before(TP), changelog.meta(TP)) == (None, b"")
    changelog.load(TP, [record(3, META_KEY, [("ember.committed", b"7")], absorbed=4)])
    assert changelog.committed_before(TP) == 7


def test_a_checkpoints_tombstone_says_up_to_when_it_holds() -> None:
    """One of a state tool does not, nor one of an earlier version: it ends what is there."""
    engine = Engine()
    changelog = Changelog(engine, Observer())  # type: ignore[arg-type]
    headers_of = [[("ember.absorbed", text)] for text in (b"41", b"?", b"-1", b"0")] + [[]]
    changelog.load(
        TP,
        [
            SimpleNamespace(offset=at, key=b"k", value=None, headers=headers)
            for at, headers in enumerate(headers_of)
        ],
    )
    assert engine.loaded == [([b"k"] * 5, [Tombstone(41), None, None, Tombstone(0), None])]


def test_damaged_rows_are_told_and_do_no_more_harm() -> None:
    told: list[Any] = []
    engine = Engine()
    changelog = Changelog(
        engine,  # type: ignore[arg-type]
        Observer(),
        lambda *seen: told.append(seen),
    )
    changelog.load(TP, [record(1, None), record(2)])
    assert told == [(TP, b"", "a changelog record without a key"), (TP, b"bad", "short")]
    assert engine.loaded == [([b"k"], [b"v"])]


def test_a_dropped_partition_is_read_from_its_beginning() -> None:
    changelog = Changelog(Engine(), Observer())  # type: ignore[arg-type]
    changelog.load(TP, [record(8, META_KEY, [("ember.committed", b"5")])])
    changelog.drop(TP)
    assert changelog.stored(TP) is None
    assert changelog.committed_before(TP) is None


def test_a_zombies_late_row_does_not_replace_a_newer_one() -> None:
    engine = CountingEngine()
    engine.attach(TP)
    changelog = Changelog(engine, Observer())
    older = bytes(40)
    newer = bytes(16) + (9).to_bytes(8, "little") + bytes(16)
    changelog.load(
        TP,
        [
            SimpleNamespace(offset=1, key=b"k", value=newer, headers=()),
            SimpleNamespace(offset=2, key=b"k", value=older, headers=()),
        ],
    )
    assert engine.slabs[TP].rows[b"k"][0] == 9
