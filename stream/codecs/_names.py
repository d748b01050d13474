"""Names of channels for measurements whose labels are known: as few labels as tell them apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ._channels import ChannelIndex, Labels, Series, selector


def channel_names(series: Iterable[Series]) -> list[str]:
    """Return a channel for every measurement, in order of name and labels.

    Measurements of one key that share a name differ in their labels. The channel then names those
    labels: `cpu.usage_idle{cpu="cpu0"}`. Labels that tell nothing apart within a key stay out, so
    that hosts with disks of label_left names share their channels. Of labels that say the same, the
    one with the shortest values stays: a mount point rather than an id of 64 digits.

    Args:
        series: Measurements of all keys, in any order.

    Returns:
        Names that `ChannelIndex` finds again. Measurements whose labels it cannot hold are left
        out.

    Examples:
        >>> cpus = [Series(b"web-1", "cpu.idle", (("cpu", f"cpu{n}"), ("os", "a"))) for n in (0, 1)]
        >>> channel_names([*cpus, Series(b"web-1", "mem.free", (("os", "a"),))])
        ['cpu.idle{cpu="cpu0"}', 'cpu.idle{cpu="cpu1"}', 'mem.free']
    """
    by_name: dict[str, dict[bytes, set[Labels]]] = defaultdict(lambda: defaultdict(set))
    for key, name, labels in series:
        by_name[name][key].add(labels)
    channels = []
    for name in sorted(by_name):
        groups = list(by_name[name].values())
        selected = distinguishing_labels(groups)
        selectors = {
            _project(labels, selected): None for group in groups for labels in sorted(group)
        }
        channels += [
            channel
            for labels in sorted(selectors)
            if _is_found(channel := selector(name, labels), name, dict(labels))
        ]
    return channels


def distinguishing_labels(groups: Sequence[Iterable[Labels]]) -> tuple[str, ...]:
    """Return the labels that tell the measurements within every group apart.

    Args:
        groups: Labels of the measurements of one name, a group for each key.
    """
    values: dict[str, set[str]] = defaultdict(set)
    varying: set[str] = set()
    for group in groups:
        rows = [dict(labels) for labels in group]
        for label in {label for row in rows for label in row}:
            present = {row.get(label, "") for row in rows}
            values[label] |= present
            if len(present) > 1:
                varying.add(label)
    selected = sorted(varying)
    # The longest values are tried first: ids and paths say no more than the name beside them.
    for label in sorted(varying, key=lambda label: (-_mean_length(values[label]), label)):
        fewer = [label_left for label_left in selected if label_left != label]
        if all(_are_distinct(group, fewer) for group in groups):
            selected = fewer
    return tuple(selected)


def _mean_length(values: set[str]) -> float:
    return sum(map(len, values)) / len(values)


def _are_distinct(group: Iterable[Labels], labels: Sequence[str]) -> bool:
    rows = list(group)
    return len({_project(row, labels) for row in rows}) == len(rows)


def _project(labels: Labels, selected: Sequence[str]) -> Labels:
    values = dict(labels)
    return tuple((label, values.get(label, "")) for label in selected)


def _is_found(channel: str, name: str, labels: Mapping[str, str]) -> bool:
    return not labels or ChannelIndex([channel]).find(name, labels) == 0
