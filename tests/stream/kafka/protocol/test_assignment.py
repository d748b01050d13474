"""An assignment ends with a revoke, and its positions with it."""

from __future__ import annotations

import pytest

from stream.kafka.protocol.assignment import Assignment, AssignmentClosed
from stream.kafka.protocol.positions import Positions

A, B = ("in", 0), ("in", 1)


def test_it_is_open_until_it_is_closed() -> None:
    positions = Positions()
    assignment = Assignment(positions)
    positions.start(A, 5, 5)
    positions.start(B, 7, 7)
    assignment.check_open()
    assignment.close()
    assert list(positions) == []
    with pytest.raises(AssignmentClosed):
        assignment.check_open()


def test_the_next_one_is_another() -> None:
    positions = Positions()
    former = Assignment(positions)
    former.close()
    Assignment(positions).check_open()
    with pytest.raises(AssignmentClosed):
        former.check_open()


def test_a_pause_ends_with_the_position() -> None:
    positions = Positions()
    assignment = Assignment(positions)
    positions.start(A, 5, 5)
    positions.pause([A])
    assert positions.paused() == [A]
    assignment.close()
    positions.resume([A])  # it is not owned: nothing happens
    positions.start(A, 5, 5)
    assert not positions.is_paused(A)
