"""Templates of the shapes that a codec has met lately."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._json_group import Group, TypedGroup
from ._json_template import Template, Texts
from ._key import Path
from ._reader import compiled_reader

_MOST_TEMPLATES = 8
_LEARN_AFTER = 1_024
"""Messages of no template before another one is made, which costs as much as decoding some 100."""
_MOST_DOUBLINGS = 8
"""Doublings of the slices that are left to the typed decoder while templates read too little."""


class Templates:
    """Templates of the last shapes, the last used one first.

    Args:
        time: Path of the event time; empty: the records have none.
        key_paths: Paths of the key expression.
        max_message_bytes: Longer messages are left out.
    """

    def __init__(self, time: Path, key_paths: Sequence[Path], max_message_bytes: int) -> None:
        self._time, self._key_paths = time, key_paths
        self._max_message_bytes = max_message_bytes
        self._templates: list[Template] = []
        self._unread = _LEARN_AFTER
        self._can_read = False
        self._failures = self._waits = 0
        self._attempts = 0

    def read(self, raws: Sequence[bytes | None]) -> tuple[list[Group], Sequence[int]]:
        """Read the messages that are of a known template.

        Args:
            raws: Messages of a slice.

        Returns:
            Groups of records, and the indices of the messages that are in none.
        """
        scan = compiled_reader.scan_for(len(raws))
        rest: Sequence[int] = range(len(raws))
        groups: list[Group] = []
        self._can_read = scan is not None and self._waits == 0
        if scan is None or not self._templates:
            return groups, rest
        if self._waits:
            self._waits -= 1
            return groups, rest
        texts = Texts.of(raws, self._max_message_bytes)
        if not texts.joined:
            return groups, rest
        rows = np.arange(len(raws))
        tried, counts = 0, dict.fromkeys(self._templates, 0)
        for template in self._templates:
            tried += len(rows)
            group, rows = template.read(scan, texts, rows)
            if group is not None:
                groups.append(group)
                counts[template] = len(group.indices)
            if not len(rows):
                break
        self._templates.sort(key=lambda template: -counts[template])
        read = len(raws) - len(rows)
        # Four messages in vain cost as much as one that is read saves.
        self._failures = 0 if 5 * read >= tried else min(self._failures + 1, _MOST_DOUBLINGS + 1)
        self._waits = 2 ** max(self._failures - 1, 0) - 1
        return groups, rows.tolist() if groups else rest

    def learn(
        self, raws: Sequence[bytes | None], groups: Sequence[TypedGroup], unread: int
    ) -> None:
        """Make a template of a message that no template has read, now and then.

        Args:
            raws: Messages of a slice.
            groups: Records that were read by a typed decoder.
            unread: Messages that no template has read.
        """
        if not self._can_read:
            return
        self._unread += unread
        if self._unread < _LEARN_AFTER or not groups:
            return
        # Another place each time, as shapes may come in turns.
        group = groups[self._attempts % len(groups)]
        raw = raws[group.indices[-1 - self._attempts % len(group.indices)]]
        self._attempts += 1
        self._unread = 0
        assert raw is not None  # it has been decoded
        try:
            template = Template(raw, group.layout, self._time, self._key_paths)
        except ValueError:  # such messages are left to the typed decoder
            return
        if template.shape in {other.shape for other in self._templates}:
            return  # one of its messages has a number that is left to the typed decoder
        self._templates.insert(0, template)
        del self._templates[_MOST_TEMPLATES:]
