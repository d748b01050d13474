"""Templates of the shapes that a codec has met lately."""

from __future__ import annotations

from collections.abc import Sequence

from ._json_group import Group, TypedGroup
from ._json_template import Template, Texts
from ._key import Path
from ._reader import compiled_reader

_MOST_TEMPLATES = 8
_LEARN_AFTER = 1_024
"""Messages of no template before another one is made, which costs as much as decoding some 100."""


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
        self._can_read = scan is not None
        if scan is None or not self._templates:
            return groups, rest
        texts = Texts.of(raws, self._max_message_bytes)
        if not texts.joined:
            return groups, rest
        for template in list(self._templates):
            group = template.read(scan, texts, rest)
            if group is None:
                continue
            if not groups and template is not self._templates[0]:
                self._templates.remove(template)
                self._templates.insert(0, template)
            groups.append(group)
            if len(group.indices) == len(rest):
                return groups, range(0)
            read = set(group.indices)
            rest = [row for row in rest if row not in read]
        return groups, rest

    def learn(self, raws: Sequence[bytes | None], groups: Sequence[Group], unread: int) -> None:
        """Make a template of the last message that no template has read, now and then.

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
        group = groups[-1]
        raw = raws[group.indices[-1]]
        if not isinstance(group, TypedGroup) or raw is None:
            return
        self._unread = 0
        try:
            template = Template(raw, group.layout, self._time, self._key_paths)
        except ValueError:  # such messages are left to the typed decoder
            return
        if template.shape in {other.shape for other in self._templates}:
            return  # one of its messages has a number that is left to the typed decoder
        self._templates.insert(0, template)
        del self._templates[_MOST_TEMPLATES:]
