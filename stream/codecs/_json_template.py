"""Templates of JSON messages: one message with other numbers and texts in its places.

A template is made from a message that the typed decoder has read, and says nothing about JSON by
itself. Its columns are found by that decoder: it reads the message once more, with a different
number or text in every place, and each of them shows where it went. So a message of the template
has the outcome that the decoder would have given it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._base import JSON_ERRORS
from ._json_group import Group
from ._json_layout import Layout
from ._key import Path
from ._reader import Scan

_NUMBER, _TEXT = 0, 1  # as in `_json_scan`, which imports the compiler

_TOKEN = re.compile(rb'(?P<quoted>"[^"]*")(?P<name>[ \t\r\n]*:)?|-?[0-9][0-9.eE+-]*')
_MOST_BYTES = 65_536
_MOST_SLOTS = 1_024
_FIRST_MARK = 1_000  # no Boolean has this value


class Texts(NamedTuple):
    """Messages behind one another.

    Attributes:
        joined: Their bytes.
        begins: int64 `(n,)`, the first byte of each message.
        ends: int64 `(n,)`, the end of each.
        highest: Highest byte that a text may have: 255 where all bytes are UTF-8, else 127.
    """

    joined: bytes
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    highest: int

    @classmethod
    def of(cls, raws: Sequence[bytes | None], largest: int) -> Texts:
        """Join messages.

        Args:
            raws: `n` messages; null is a message of no bytes, which no template has.
            largest: Most bytes of a message; a larger one is left out in the same way.
        """
        parts = [raw if raw is not None and len(raw) <= largest else b"" for raw in raws]
        joined = b"".join(parts)
        ends = np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)))
        begins = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])
        return cls(joined, begins, ends, 0xFF if _is_utf8(joined) else 0x7F)


class Template:
    """Reader of messages of one shape.

    Args:
        raw: Message that the layout has decoded alone.
        layout: The layout.
        time: Path of the event time; empty: the record has none.
        key_paths: Paths of the key expression.

    Attributes:
        shape: The bytes between the places, and the kinds of these.

    Raises:
        ValueError: If no template can be made from this message.
    """

    def __init__(self, raw: bytes, layout: Layout, time: Path, key_paths: Sequence[Path]) -> None:
        if b"\\" in raw or len(raw) > _MOST_BYTES:
            raise ValueError("The message has escapes, or is too long.")
        places, kinds = _slots(raw)
        if len(places) > _MOST_SLOTS:
            raise ValueError("The message has too many values.")
        borders = [0, *(border for border_pair in places for border in border_pair), len(raw)]
        literals = [raw[begin:end] for begin, end in list(pairwise(borders))[::2]]
        marks = [
            b"%d" % (_FIRST_MARK + slot) if kind == _NUMBER else b"mark-%d" % slot
            for slot, kind in enumerate(kinds)
        ]
        marked = b"".join(
            [part for pair in zip(literals, [*marks, b""], strict=True) for part in pair]
        )
        try:
            record = layout.decoder.decode(marked)
        except JSON_ERRORS as error:
            raise ValueError("Not every message of this shape can be decoded.") from error
        if not layout.conform(marked, [record]):
            raise ValueError("Not every message of this shape is of the layout.")
        self._slot_of_mark: dict[Any, int] = {
            int(mark) if kind == _NUMBER else mark.decode(): slot
            for slot, (mark, kind) in enumerate(zip(marks, kinds, strict=True))
        }
        self.shape = (*literals, *kinds)
        self._literals = np.frombuffer(b"".join(literals), dtype=np.uint8)
        self._literal_ends = np.cumsum([len(literal) for literal in literals], dtype=np.int64)
        self._kinds = np.array(kinds, dtype=np.int64)
        self._columns, self._constants = self._channel_slots(layout, record)
        self._spans = np.full(len(kinds), -1, dtype=np.int64)
        self._values_at: dict[Path, Any] = {}
        self._span_at: dict[Path, int] = {}
        for path in key_paths:
            self._keep(path, layout.resolve(record, path))
        self._time_slot, self._time_span = -1, -1
        if time:
            self._find_time(layout.times([record])[0])

    def _channel_slots(
        self, layout: Layout, record: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the columns of the slots `(S,)`, and a row `(C,)` without those."""
        constants = layout.matrix([record])[0]
        columns = np.full(len(self._kinds), -1, dtype=np.int64)
        for column, mark in enumerate(constants.tolist()):
            slot = self._slot_of_mark.get(mark)  # 1000.0 is found by 1000
            if slot is None:
                continue
            if columns[slot] >= 0:
                raise ValueError("Two channels are in one field.")
            columns[slot] = column
        return columns, constants

    def _slot(self, value: Any) -> int | None:
        """Return the slot that a value of the marked message came from; None for a constant."""
        return self._slot_of_mark.get(value) if type(value) in (int, str) else None

    def _keep(self, path: Path, value: Any) -> None:
        """Keep the places of a field of the key."""
        slot = self._slot(value)
        if slot is None:  # missing, or of a kind that no key can be of, whatever it holds
            self._values_at[path] = value
        else:
            self._span_at[path] = self._span(slot)

    def _span(self, slot: int) -> int:
        """Return the column of the places of a slot, a new one where it has none."""
        if self._spans[slot] < 0:
            self._spans[slot] = self._spans.max() + 1
        return int(self._spans[slot])

    def _find_time(self, value: Any) -> None:
        slot = self._slot(value)
        if slot is None:
            if value is not None:
                raise ValueError("The time is neither a number nor a text.")
        elif self._kinds[slot] == _NUMBER:
            self._time_slot = slot
        else:
            self._time_span = self._span(slot)

    def read(
        self, scan: Scan, texts: Texts, rows: NDArray[np.int64]
    ) -> tuple[TemplateGroup | None, NDArray[np.int64]]:
        """Read those messages that are of this template.

        Args:
            scan: The compiled reader.
            texts: The messages.
            rows: Those to look at, rising.

        Returns:
            The records, None where no message is of this template; and the rows of the others.
        """
        begins, ends = texts.begins[rows], texts.ends[rows]
        n, spans = len(begins), int(self._spans.max(initial=-1)) + 1
        matches = np.empty(n, dtype=np.bool_)
        values = np.tile(self._constants, (n, 1))
        float_times, whole_times = np.zeros(n), np.zeros(n, dtype=np.int64)
        is_whole = np.ones(n, dtype=np.bool_)
        places = np.zeros((2, n, spans), dtype=np.int64)
        scan(
            np.frombuffer(texts.joined, dtype=np.uint8),
            begins,
            ends,
            texts.highest,
            self._literals,
            self._literal_ends,
            self._kinds,
            self._columns,
            self._spans,
            self._time_slot,
            matches,
            values,
            float_times,
            whole_times,
            is_whole,
            places[0],
            places[1],
        )
        unread_rows = rows[~matches]
        if len(unread_rows) == len(rows):
            return None, rows
        indices: Sequence[int] = range(len(rows))
        if len(unread_rows) or len(rows) < len(texts.begins):
            indices = rows[matches].tolist()
        if len(unread_rows):
            values, places = values[matches], places[:, matches]
            float_times, whole_times = float_times[matches], whole_times[matches]
            is_whole = is_whole[matches]
        times: list[Any] | NDArray[Any]
        if self._time_slot >= 0:
            times = _numbers(float_times, whole_times, is_whole)
        elif self._time_span >= 0:
            times = _texts(texts.joined, places[:, :, self._time_span])
        else:
            times = [None] * len(indices)
        return TemplateGroup(self, texts.joined, indices, values, times, places), unread_rows

    def field(self, path: Path, joined: bytes, places: NDArray[np.int64]) -> list[Any]:
        """Return the values of messages at a path of the key expression.

        Args:
            path: The path.
            joined: All messages.
            places: `(2, n, P)`, the kept places of these messages.
        """
        span = self._span_at.get(path)
        if span is None:
            return [self._values_at[path]] * places.shape[1]
        texts = _texts(joined, places[:, :, span])
        is_number = self._kinds[self._spans == span][0] == _NUMBER
        return list(map(int, texts)) if is_number else texts


class TemplateGroup(Group):
    """Records that a template has read.

    Args:
        template: The template.
        joined: The messages.
        indices: Indices of the records' messages in the slice.
        values: `(n, C)` channels.
        times: `(n,)` times, as decoded.
        places: `(2, n, P)` first bytes and ends of fields of the key, and of the time.
    """

    def __init__(
        self,
        template: Template,
        joined: bytes,
        indices: Sequence[int],
        values: NDArray[np.float64],
        times: list[Any] | NDArray[Any],
        places: NDArray[np.int64],
    ) -> None:
        super().__init__(indices)
        self._template, self._joined, self._places = template, joined, places
        self._values, self._times = values, times

    def matrix(self) -> NDArray[np.float64]:
        return self._values

    def times(self) -> Sequence[Any] | NDArray[Any]:
        return self._times

    def field(self, path: Path) -> Sequence[Any]:
        return self._template.field(path, self._joined, self._places)


def _slots(raw: bytes) -> tuple[list[tuple[int, int]], list[int]]:
    """Find the numbers and texts of a message, names left out: begin and end, and the kind."""
    places, kinds = [], []
    for match in _TOKEN.finditer(raw):
        begin, end = match.span()
        if match["name"] is not None:
            continue
        if match["quoted"] is not None:
            places.append((begin + 1, end - 1))
            kinds.append(_TEXT)
        else:
            places.append((begin, end))
            kinds.append(_NUMBER)
    return places, kinds


def _texts(joined: bytes, places: NDArray[np.int64]) -> list[str]:
    """Return the texts at places, `(2, n)`."""
    begins, ends = places.tolist()
    return [joined[begin:end].decode() for begin, end in zip(begins, ends, strict=True)]


def _numbers(
    floats: NDArray[np.float64], integers: NDArray[np.int64], is_whole: NDArray[np.bool_]
) -> NDArray[Any] | list[Any]:
    """Return numbers as they were written: all whole, none, or a list of both kinds."""
    if is_whole.all():
        return integers
    if not is_whole.any():
        return floats
    pairs = zip(is_whole.tolist(), integers.tolist(), floats.tolist(), strict=True)
    return [integer if integral else number for integral, integer, number in pairs]


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
