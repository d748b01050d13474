"""What a step and a checkpoint are handed."""

from __future__ import annotations

import numpy as np
import pytest

from stream.engine.result import RowsTaken

ROWS = [None, None, b"aaaaa", b"bbbbb", b"ccccc", b"meta"]


@pytest.fixture
def taken() -> RowsTaken:
    block = np.frombuffer(b"aaaaabbbbbccccc", dtype=np.uint8).reshape(3, 5)
    return RowsTaken(2, block, b"meta")


def test_rows_taken_are_tombstones_rows_and_the_meta_row(taken: RowsTaken) -> None:
    """By iteration as by place, from either end."""
    assert list(taken) == ROWS
    assert [taken[at] for at in range(len(taken))] == ROWS
    assert [taken[at] for at in range(-len(ROWS), 0)] == ROWS
    assert taken[1:-1:2] == ROWS[1:-1:2]
    with pytest.raises(IndexError):
        taken[len(ROWS)]


def test_without_rows_there_is_the_meta_row() -> None:
    """A partition that moved, but changed no key."""
    none = RowsTaken(0, np.zeros((0, 5), dtype=np.uint8), b"meta")
    assert list(none) == [b"meta"] == [none[-1]]
    assert len(none) == 1
