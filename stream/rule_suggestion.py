"""Proposal of the narrowest rule that keeps some alerts quiet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import floor, inf, log10
from typing import Any, Final

from .control.rules import Rule
from .errors import UserError
from .rule_trial import leading_channel

_WIDENINGS: Final = (0.1, 0.5, 1.0, 3.0)
"""Shares of the largest deviation by which a usual range goes beyond the values of the events."""
_DIGITS: Final = 3
_NO_RULE: Final = ("EmberLimit",)


@dataclass(frozen=True)
class Seen:
    """Deviations of one channel in the given events.

    Attributes:
        name: Name of the channel.
        low: Lowest value among values and usual ones; infinite where none is known.
        high: Highest.
        side: Side on which all of them lie; `both` where they do not.
    """

    name: str
    low: float
    high: float
    side: str


def suggestions(bodies: Sequence[dict[str, Any]]) -> Iterator[Rule]:
    """Yield rules that may keep events quiet, the narrowest first.

    A rule is for the keys and topics of the events, and at first for their leading channels. The
    widest leaves out every channel that the events name.

    Args:
        bodies: Bodies of the events.

    Raises:
        UserError: If there is none, or one is of a hard limit, which no other rule holds back.
    """
    labels = [body.get("labels") or {} for body in bodies]
    names = {str(label.get("alertname", "")) for label in labels}
    if not bodies or names & set(_NO_RULE):
        raise UserError(
            "No rule keeps these events quiet. Expected events of the model, or of missing "
            f"channels and idle keys. Received: {', '.join(sorted(names)) or 'no event'}. Change "
            "or remove the limit itself with `ember control`.",
            exit_code=2,
        )
    keys = tuple(sorted({literal(str(label["key"])) for label in labels}))
    topics = tuple(sorted({literal(str(label["topic"])) for label in labels}))
    if "EmberKeyStale" in names:
        yield Rule(keys=keys, topics=topics, ignore=True)
        return
    leading = sorted({leading_channel(body) for body in bodies} - {""})
    named = {top["name"] for body in bodies for top in body.get("top_channels") or []}
    groups = [leading] + ([sorted(named)] if named - set(leading) else [])
    for group in groups:
        channels = tuple(map(literal, group))
        if "EmberChannelMissing" not in names:
            seen = [_seen(name, bodies) for name in group]
            low, high = min(s.low for s in seen), max(s.high for s in seen)
            if len(group) == 1 and low < inf:
                for share in _WIDENINGS:
                    usual = _widened(seen[0], low, high, share)
                    yield Rule(keys=keys, topics=topics, channels=channels, usual_range=usual)
            sides = {s.side for s in seen}
            if sides == {"above"}:
                yield Rule(keys=keys, topics=topics, channels=channels, direction="below")
            elif sides == {"below"}:
                yield Rule(keys=keys, topics=topics, channels=channels, direction="above")
        yield Rule(keys=keys, topics=topics, channels=channels, ignore=True)


def literal(name: str) -> str:
    """Return the pattern that matches a name and nothing else."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _seen(name: str, bodies: Iterable[dict[str, Any]]) -> Seen:
    numbers, sides = list[float](), set[str]()
    for body in bodies:
        for top in body.get("top_channels") or []:
            if top["name"] != name:
                continue
            numbers += [top[end] for end in ("value", "expected") if top.get(end) is not None]
            sides.add(top["direction"])
    side = sides.pop() if len(sides) == 1 else "both"
    return Seen(name, min(numbers, default=inf), max(numbers, default=-inf), side)


def _widened(seen: Seen, low: float, high: float, share: float) -> tuple[float, float]:
    """Return a range with the usual and the unusual values; wider only where these lie."""
    more = share * (high - low or abs(high) or 1.0)
    if seen.side != "above":
        low -= more
    if seen.side != "below":
        high += more
    return _rounded(low, high - low, up=False), _rounded(high, high - low, up=True)


def _rounded(number: float, size: float, *, up: bool) -> float:
    """Return a number with as few digits as a size needs, never nearer to the middle."""
    step = 10.0 ** (floor(log10(size)) - _DIGITS + 1) if size > 0 else 1.0
    whole = floor(number / step)
    return round((whole + (1 if up else 0)) * step, 12)
