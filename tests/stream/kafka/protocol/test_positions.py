"""Where a worker stands, and when that has to be written."""

from __future__ import annotations

import pytest

from stream.kafka.protocol.positions import Positions

TP = ("in", 0)


def test_a_position_never_goes_back() -> None:
    positions = Positions()
    positions.start(TP, 7, 7)
    positions.advance(TP, 7)  # a slice in which nothing was new
    with pytest.raises(ValueError, match="never goes back"):
        positions.advance(TP, 6)


@pytest.mark.parametrize(
    ("position", "committed", "flags", "moved"),
    [
        (7, 7, {}, False),
        (7, 5, {}, True),  # its writer died before the commit
        (7, -1, {}, True),
        (7, -1, {"fresh": True}, False),
        (0, -1, {"fresh": True, "unwritten": True}, True),
        (7, 7, {"unwritten": True}, True),
    ],
)
def test_what_a_start_leaves_to_write(
    position: int, committed: int, flags: dict[str, bool], moved: bool
) -> None:
    positions = Positions()
    positions.start(TP, position, committed, **flags)
    assert positions.moved(TP) is moved
    positions.confirm(TP, position)
    assert not positions.moved(TP)
    assert positions.committed(TP) == position


def test_a_reopened_partition_is_written_though_it_has_not_moved() -> None:
    positions = Positions()
    for position in (0, 7):
        positions.start(TP, position, position)
        positions.reopen(TP)
        assert positions.moved(TP)
        positions.confirm(TP, positions.take(TP))
        assert not positions.moved(TP)


def test_a_dropped_partition_is_not_processed_any_more() -> None:
    positions = Positions()
    positions.start(TP, 7, 7)
    positions.drop(TP)
    positions.drop(TP)
    assert TP not in positions
    assert list(positions) == []
    positions.confirm(TP, 9)
    assert TP not in positions


def test_a_paused_partition_waits_until_it_is_resumed_or_given_back() -> None:
    positions, other = Positions(), ("in", 1)
    positions.start(TP, 7, 7)
    positions.start(other, 3, 3)
    assert positions.paused() == []
    positions.pause([TP])
    assert positions.paused() == [TP]
    assert positions.is_paused(TP)
    assert not positions.is_paused(other)
    positions.resume([TP])
    assert positions.paused() == []
    positions.pause([TP, other])
    positions.drop(TP)
    assert positions.paused() == [other]
    assert not positions.is_paused(TP)
