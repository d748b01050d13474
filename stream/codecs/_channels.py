"""Which channel a named, labelled measurement belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_SELECTOR = re.compile(r'([^{}]+)\{\s*([\w.:/-]+="[^"]*"(?:\s*,\s*[\w.:/-]+="[^"]*")*)\s*,?\s*\}')
_MATCHER = re.compile(r'([\w.:/-]+)="([^"]*)"')


class ChannelIndex:
    """Finds the channel of a measurement.

    A channel is named like the measurement, or like Prometheus selects it, with labels that must be
    equal: `node_cpu_seconds_total{mode="idle"}`. The channel that asks for most labels wins.

    Args:
        channels: Channel names, in the model's order.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._by_name: dict[str, list[tuple[int, dict[str, str]]]] = {}
        for column, channel in enumerate(channels):
            match = _SELECTOR.fullmatch(channel)
            name = match[1].strip() if match else channel
            wanted = dict(_MATCHER.findall(match[2])) if match else {}
            self._by_name.setdefault(name, []).append((column, wanted))
        for entries in self._by_name.values():
            entries.sort(key=lambda entry: -len(entry[1]))

    def find(self, name: str, labels: Mapping[str, Any]) -> int | None:
        """Column of the channel; None when the model has none for it."""
        for column, wanted in self._by_name.get(name, ()):
            if all(str(labels.get(label, "")) == value for label, value in wanted.items()):
                return column
        return None

    def knows(self, name: str) -> bool:
        """Whether any channel is of this measurement, whatever its labels."""
        return name in self._by_name
