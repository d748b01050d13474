"""Texts of explanations in event bodies: each is made once, however many events show it."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

import msgspec

from stream.records import encode_part

from .explanation import Explanation

_NAMED = 3  # channels in a sentence


class ExplanationText(NamedTuple):
    """Texts of one explanation.

    Attributes:
        parts: Clause about each of the first channels, for people.
        top_channels: All channels, in the JSON of a list of `TopChannel`.
    """

    parts: list[str]
    top_channels: msgspec.Raw


class ChannelText:
    """Maker of texts about the channels of one model.

    Args:
        channels: Names of the channels.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._names = list(channels)
        self._heads = [b'{"name":%b,"value":' % encode_part(name) for name in channels]

    def of(self, explanation: Explanation) -> ExplanationText:
        """Return the texts of an explanation, the same ones at each call."""
        text: ExplanationText | None = explanation.text
        if text is None:
            top_channels = msgspec.Raw(self._top_channels(explanation))
            text = explanation.text = ExplanationText(self._parts(explanation), top_channels)
        return text

    def _parts(self, explanation: Explanation) -> list[str]:
        names, parts = self._names, []
        first = explanation.channel[:_NAMED]
        columns = first, explanation.share, explanation.value, explanation.expected
        for c, s, v, e in zip(*columns, strict=False):
            if isnan(v + e):
                clause = f"{names[c]} {number_text(v)} (expected {number_text(e)}, {100 * s:.0f} %)"
            else:
                clause = f"{names[c]} {v:.4g} (expected {e:.4g}, {100 * s:.0f} %)"
            parts.append(clause)
        return parts

    def _top_channels(self, explanation: Explanation) -> bytes:
        """Return the JSON of the channels; all its numbers are encoded in one go."""
        heads, channels, n = self._heads, explanation.channel, len(explanation.channel)
        if not n:
            return b"[]"
        values, expected = explanation.value, explanation.expected
        low, high = explanation.low, explanation.high
        every_number = [*values, *expected, *explanation.share, *low, *high]
        numbers = encode_part(every_number)[1:-1].split(b",")
        shares = numbers[2 * n : 3 * n]
        out = []
        for i, c in enumerate(channels):
            v, e = values[i], expected[i]
            side = b"below" if v < e or (isnan(e) and not isnan(v)) else b"above"
            parts = heads[c], numbers[i], numbers[n + i], shares[i], side
            text = b'%b%b,"expected":%b,"share":%b,"direction":"%b"' % parts
            if low:
                ends = numbers[3 * n + i], numbers[4 * n + i]
                text += b',"usual_low":%b,"usual_high":%b' % ends
            out.append(text)
        return b"[%b}]" % b"},".join(out)


def number_text(x: float) -> str:
    """Return a number of four digits, or the word for a missing one."""
    return "missing" if isnan(x) else f"{x:.4g}"
