"""Placement of keys for a rebase: the partition that each belongs to now."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal, cast

from stream.errors import UserError
from stream.kafka.protocol.ports import TopicStatus

from .newest_records import newest_partitions
from .partitioners import HASHES, PartitionerName, fitting_partitioners, partitioner_of
from .state import PartitionState, StateLog

Placement = PartitionerName | Literal["newest"]
"""Rule that says where keys belong: a partitioner, or the newest record of each."""

_TIME_BYTE = 24
"""Place of the event time of the last record in the head of a row."""


def infer_partitioner(
    topic: str, status: TopicStatus, states: Sequence[PartitionState]
) -> PartitionerName:
    """Return the partitioner that fits the partitions of all keys."""
    placed_keys = [(key, state.partition) for state in states for key in state.rows]
    names = fitting_partitioners(placed_keys, len(states))
    # Few keys fit several by chance, which matters only where these part ways from now on.
    ways = {
        tuple(HASHES[name](key, status.partitions) for key, _ in placed_keys): name
        for name in reversed(names)
    }
    if len(ways) == 1:
        return cast("PartitionerName", names[0])
    fault = (
        f"keys are where several partitioners put them ({', '.join(names)})"
        if ways
        else f"keys are where none of the partitioners {', '.join(HASHES)} puts them"
    )
    raise UserError(
        f"Topic {topic!r} has {status.partitions} partitions, its state {len(states)}, and "
        f"{fault}, so it cannot be told where they have gone. Name what producers use now with "
        "--partitioner, say --partitioner newest to look for their newest records, or start a new "
        "group."
    )


def target_partitions(
    log: StateLog, topic: str, states: Sequence[PartitionState], placement: Placement
) -> dict[bytes, int]:
    """Return the partition that each key belongs to."""
    homes = {key: number for key, (_, number) in newest_rows(states).items()}
    if placement != "newest":
        partitioner = partitioner_of(placement)
        return {key: partitioner(key, len(states)) for key in homes}
    # A key without a record stays where its row is.
    return homes | newest_partitions(log.settings, topic, len(states), homes)


def newest_rows(states: Sequence[PartitionState]) -> dict[bytes, tuple[int, int]]:
    """Return the event time and the partition of the newest row of each key."""
    newest: dict[bytes, tuple[int, int]] = {}
    for state in states:
        for key, row in state.rows.items():
            (time_us,) = struct.unpack_from("<q", row, _TIME_BYTE)
            row_place = (time_us, state.partition)
            newest[key] = max(newest.get(key, row_place), row_place)
    return newest
