"""Lookup of the channel that a named, labelled measurement belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Labels = tuple[tuple[str, str], ...]
"""Labels and their values, in order of the labels."""


class Series(NamedTuple):
    """Measurement of one stream key, with its labels."""

    key: bytes
    name: str
    labels: Labels


_SELECTOR = re.compile(r'([^{}]+)\{\s*([\w.:/-]+="[^"]*"(?:\s*,\s*[\w.:/-]+="[^"]*")*)\s*,?\s*\}')
_MATCHER = re.compile(r'([\w.:/-]+)="([^"]*)"')


class ChannelIndex:
    """Index of channels by measurement and labels.

    A channel has the name of the measurement, or that of a Prometheus selector, whose labels must
    be equal: `node_cpu_seconds_total{mode="idle"}`. The channel with the most labels wins.

    Args:
        channels: Channel names, in the model's order.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._by_name: dict[str, list[tuple[int, dict[str, str]]]] = {}
        for column, channel in enumerate(channels):
            match = _SELECTOR.fullmatch(channel)
            name = match[1].strip() if match else channel
            required = dict(_MATCHER.findall(match[2])) if match else {}
            self._by_name.setdefault(name, []).append((column, required))
        # The most specific selector comes first, so that `find` can stop at the first match.
        for entries in self._by_name.values():
            entries.sort(key=lambda entry: -len(entry[1]))

    def find(self, name: str, labels: Mapping[str, Any]) -> int | None:
        """Return the column of the channel; None when the model has no such channel."""
        for column, required in self._by_name.get(name, ()):
            if all(str(labels.get(label, "")) == value for label, value in required.items()):
                return column
        return None

    def knows(self, name: str) -> bool:
        """Tell if any channel is of this measurement, whatever its labels."""
        return name in self._by_name


class SeriesIndex(ChannelIndex):
    """Index that knows every measurement, and keeps them apart by name and labels.

    Attributes:
        found: Name and labels of each column, in order of first appearance.
    """

    def __init__(self) -> None:
        super().__init__(())
        self.found: list[tuple[str, Labels]] = []
        self._columns: dict[tuple[str, Labels], int] = {}

    def find(self, name: str, labels: Mapping[str, Any]) -> int:
        """Return the column of the measurement, a new one for a new measurement."""
        measurement = (name, labels_of(labels))
        column = self._columns.setdefault(measurement, len(self.found))
        if column == len(self.found):
            self.found.append(measurement)
        return column

    def knows(self, name: str) -> bool:
        """Return True: every measurement is known."""
        return True


def labels_of(labels: Mapping[str, object]) -> Labels:
    """Return labels as they are compared: values as texts; an empty one is an absent one."""
    return tuple(sorted((name, str(value)) for name, value in labels.items() if str(value)))
