"""Where to go on, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from stream.kafka.protocol.ports import RefusedError
from stream.kafka.protocol.start_offset import PartitionStatus, resume

TP = ("in", 5)


@dataclass
class Meta:
    absorbed: int = 99
    topic_id: str = "aa"
    partition_count: int = 7


def facts(**changes: Any) -> PartitionStatus:
    return PartitionStatus("aa", 7, 0, 1000, 100, 40)._replace(**changes)


@pytest.mark.parametrize(
    ("meta", "found", "position", "lost"),
    [
        (Meta(), facts(), 100, 0),
        (Meta(), facts(committed=40), 100, 0),  # died between rows and commit
        (Meta(), facts(committed=-1), 100, 0),  # the group's offsets expired
        (Meta(), facts(topic_id=""), 100, 0),
        (Meta(), facts(log_start=130), 130, 30),
        (Meta(absorbed=-1), facts(committed=-1, log_start=3), 3, 0),
        (Meta(absorbed=-1), facts(committed=0), 0, 0),
    ],
)
def test_position_follows_the_state(
    meta: Meta, found: PartitionStatus, position: int, lost: int
) -> None:
    assert resume("g", TP, meta, found) == (position, lost)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("meta", "found", "word"),
    [
        (Meta(), facts(topic_id="bb"), "topic_id=bb"),
        (Meta(), facts(partition_count=11), "partitions=11"),
        (Meta(), facts(log_end=99), "log_end=99"),
        (Meta(), facts(committed=70), "committed=70"),
        (Meta(), facts(committed=39), "committed=39"),
        (Meta(), facts(committed=101), "committed=101"),
        (Meta(), facts(committed=40, committed_before=None), "committed=40"),
        (Meta(absorbed=-1), facts(committed=10), "no state"),
    ],
)
def test_contradictions_are_refused_with_the_mend(
    meta: Meta, found: PartitionStatus, word: str
) -> None:
    with pytest.raises(RefusedError, match="ember state rebase") as caught:
        resume("g", TP, meta, found)  # type: ignore[arg-type]
    assert word in str(caught.value)


def test_a_group_moved_by_hand_is_refused_where_retention_removed_records_too() -> None:
    with pytest.raises(RefusedError, match="moved by hand"):
        resume("g", TP, Meta(), facts(committed=70, log_start=500))  # type: ignore[arg-type]


def test_where_nothing_fences_a_successor_may_have_committed_less_than_a_late_row_says() -> None:
    assert resume("g", TP, Meta(), facts(committed=70), between=True).position == 100  # type: ignore[arg-type]
    for moved in (39, 101):
        with pytest.raises(RefusedError, match="moved by hand"):
            resume("g", TP, Meta(), facts(committed=moved), between=True)  # type: ignore[arg-type]
