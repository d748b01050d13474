"""Lookup of the channel that a named, labelled measurement belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

Labels = tuple[tuple[str, str], ...]
"""Labels and their values, in order of the labels."""


class Series(NamedTuple):
    """Measurement of one stream key, with its labels."""

    key: bytes
    name: str
    labels: Labels


_LABEL = r"[^{}\"=,\s]+"
_VALUE = r'"(?:[^"\\]|\\.)*"'
_MATCHER = re.compile(rf"({_LABEL})\s*=\s*({_VALUE})", re.DOTALL)
_PAIR = rf"{_LABEL}\s*=\s*{_VALUE}"
_SELECTOR = re.compile(rf"([^{{}}]*)\{{\s*({_PAIR}(?:\s*,\s*{_PAIR})*)\s*,?\s*\}}", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n"}


class ChannelIndex:
    """Index of channels by measurement and labels.

    A channel has the name of the measurement, or that of a Prometheus selector, whose labels must
    be equal: `node_cpu_seconds_total{mode="idle"}`. Quotes and backslashes in a label are written
    as Prometheus does, behind a backslash. The channel with the most labels wins.

    Args:
        channels: Channel names, in the model's order.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._by_name: dict[str, list[tuple[int, dict[str, str]]]] = {}
        for column, channel in enumerate(channels):
            name, required = parse_selector(channel)
            self._by_name.setdefault(name, []).append((column, required))
        # The most specific selector comes first, so that `find` can stop at the first match.
        for entries in self._by_name.values():
            entries.sort(key=lambda entry: -len(entry[1]))

    def find(self, name: str, labels: Mapping[str, Any]) -> int | None:
        """Return the column of the channel; None when the model has no such channel."""
        for column, required in self._by_name.get(name, ()):
            if all(_text(labels.get(label, "")) == value for label, value in required.items()):
                return column
        return None

    @property
    def names(self) -> Iterable[str]:
        """Names of the measurements."""
        return self._by_name.keys()

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


def contested_channels(sets: Sequence[Sequence[str]]) -> tuple[str, str] | None:
    """Return two channels that one measurement may be of, where a set has just one of the two.

    A codec of all sets reads the measurement as one of them, and the codec of that set alone may
    read it as the other.

    Args:
        sets: Channels of several models that read the same records.
    """
    owners: dict[str, set[int]] = {}
    for number, channels in enumerate(sets):
        for channel in channels:
            owners.setdefault(channel, set()).add(number)
    by_name: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for channel in owners:
        name, required = parse_selector(channel)
        by_name.setdefault(name, []).append((channel, required))
    for entries in by_name.values():
        for (first, labels), (second, others) in combinations(entries, 2):
            if owners[first] == owners[second]:
                continue
            if all(others.get(label, value) == value for label, value in labels.items()):
                return first, second
    return None


def labels_of(labels: Mapping[str, object]) -> Labels:
    """Return labels as they are compared: values as texts; an empty one is an absent one."""
    texts = ((name, _text(value)) for name, value in labels.items())
    return tuple(sorted((name, text) for name, text in texts if text))


def selector(name: str, labels: Labels) -> str:
    r"""Return the channel of a measurement; `parse_selector` is the inverse.

    Examples:
        >>> print(selector("disk.used", (("path", "C:\\"),)))
        disk.used{path="C:\\"}
    """
    if not labels:
        return name
    return name + "{" + ",".join(f'{label}="{_escaped(value)}"' for label, value in labels) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def parse_selector(channel: str) -> tuple[str, dict[str, str]]:
    r"""Return name and labels of a channel; a name that is no selector has no labels.

    Examples:
        >>> parse_selector('cpu.usage{cpu="cpu-total", path="C:\\\\"}')
        ('cpu.usage', {'cpu': 'cpu-total', 'path': 'C:\\'})
        >>> parse_selector("cpu")
        ('cpu', {})
    """
    match = _SELECTOR.fullmatch(channel)
    if match is None:
        return channel, {}
    required = {label: _unescaped(value[1:-1]) for label, value in _MATCHER.findall(match[2])}
    return match[1].strip(), required


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text)


def _text(label: Any) -> str:
    """Return a label as Prometheus writes it; a Boolean attribute is `true` or `false`."""
    return str(label).lower() if isinstance(label, bool) else str(label)
