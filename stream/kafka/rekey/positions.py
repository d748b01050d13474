"""Offsets at which re-keying goes on, or begins in a group that has none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from stream.kafka.context import Context
from stream.types import TP

from .ports import Sources


class Begin(NamedTuple):
    """Offsets to go on at.

    Attributes:
        positions: Next offset to re-key, by source partition.
        is_new: Whether some of them are not committed yet.
    """

    positions: Mapping[TP, int]
    is_new: bool


async def find_positions(
    context: Context, sources: Sources, tps: Collection[TP], *, stable: bool
) -> Begin:
    """Find the next offset of each partition.

    The group's offset decides. A group without any begins as `input.start` says. A partition that
    was added to a topic since is read from its beginning.

    Args:
        context: Surroundings of the worker.
        sources: Member of the group.
        tps: Partitions that it has.
        stable: Whether another member may have a transaction open that moves an offset.
    """
    committed = await committed_offsets(sources, await sources.partitions(), stable=stable)
    bounds = await sources.log_bounds(tps)
    positions = {tp: committed[tp] for tp in tps if tp in committed}
    topics_read = {topic for topic, _ in committed}
    added = [tp for tp in tps if tp not in committed and tp[0] in topics_read]
    positions |= {tp: bounds[tp][0] for tp in added}
    unread = [tp for tp in tps if tp not in positions]
    positions |= await _first(context, sources, unread, bounds)
    # Retention may have been faster than the group, or the topic was made again.
    positions = {tp: _within(offset, *bounds[tp]) for tp, offset in positions.items()}
    return Begin(positions, len(unread) + len(added) > 0)


async def committed_offsets(
    sources: Sources, tps: Collection[TP], *, stable: bool
) -> Mapping[TP, int]:
    """Return the group's offsets; partitions without one are absent.

    Args:
        sources: Member of the group.
        tps: Partitions of the input topics.
        stable: Whether another member may have a transaction open that moves an offset.
    """
    if stable:
        return await sources.stable_offsets(tps)
    status = await sources.log_status(tps)
    return {tp: log.committed for tp, log in status.items() if log.committed >= 0}


async def _first(
    context: Context,
    sources: Sources,
    tps: Collection[TP],
    bounds: Mapping[TP, tuple[int, int]],
) -> dict[TP, int]:
    """Return the first offsets of partitions that nobody has read."""
    start = context.config.start
    if not tps:
        return {}
    if start == "earliest":
        return {tp: bounds[tp][0] for tp in tps}
    if start == "latest":
        return {tp: bounds[tp][1] for tp in tps}
    dated = await sources.offsets_for_time(tps, 0)
    history = await sources.offsets_for_time(tps, round((context.started - start) * 1000))
    first = {}
    for tp in tps:
        begin, end = bounds[tp]
        # The embedded broker looks up no times.
        blind = end > begin and tp not in dated
        first[tp] = begin if blind else history.get(tp, end)
    return first


def _within(offset: int, begin: int, end: int) -> int:
    return begin if offset > end else max(offset, begin)
