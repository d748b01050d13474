"""Rules of operators beside the model: the struct, its checks, and the names it is for."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final, Literal

import msgspec

from stream.durations import seconds_of
from stream.key_patterns import bracket_fault

from .patterns import matches

Direction = Literal["above", "below", "both"]

MOST_SENSITIVITY: Final = 1_000.0
MOST_WEIGHT: Final = 10.0
MOST_PATTERNS: Final = 100
"""Patterns in one list of a rule."""
MOST_PATTERN_LENGTH: Final = 500


class Limit(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"for_": "for"},
):
    """Hard limit of a channel: it fires whatever the model says, from a key's first record on.

    Attributes:
        above: Largest value that is allowed, in the channel's unit; none by default.
        below: Smallest value that is allowed.
        for_: Event time for which the value has to be outside before it fires (`for`).
    """

    above: float | None = None
    below: float | None = None
    for_: str = "0s"

    @property
    def for_us(self) -> int:
        """Event time for which the value has to be outside, microseconds."""
        return round((seconds_of(self.for_) or 0.0) * 1e6)


class Rule(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag="rule",
):
    """Exceptions from the judgement of the model, for some keys and channels.

    Several rules may be for one channel. What one of them leaves out is left out; sensitivities
    and weights multiply; each limit counts for itself. So their order does not matter.

    Attributes:
        keys: Patterns of the keys (`*`, `?`, `[...]`) as they stand in events; one has to match.
        topics: Patterns of the topics, likewise.
        channels: Patterns of the channels, likewise.
        ignore: The channels are left out.
        direction: Side of the usual value on which a deviation counts.
        min_deviation: Smallest deviation from the usual value that counts, in the channel's unit.
        min_relative_deviation: Smallest deviation that counts, as a share of the usual value.
        usual_range: Lowest and highest value that count as usual, both included.
        limit: Hard limit.
        sensitivity: Factor on the alert budget: 2 accepts twice as many pages.
        weight: Factor on how unusual the channels are; 0 leaves them out.
    """

    keys: tuple[str, ...] = ("*",)
    topics: tuple[str, ...] = ("*",)
    channels: tuple[str, ...] = ("*",)
    ignore: bool = False
    direction: Direction = "both"
    min_deviation: float | None = None
    min_relative_deviation: float | None = None
    usual_range: tuple[float, float] | None = None
    limit: Limit | None = None
    sensitivity: float = 1.0
    weight: float = 1.0

    def is_for_key(self, topic: str, key: str) -> bool:
        """Return whether the rule is for a key.

        Args:
            topic: Name of the stream in events.
            key: Text of the key in events.
        """
        return matches(self.topics, topic) and matches(self.keys, key)

    def channel_indices(self, channels: Sequence[str]) -> list[int]:
        """Return the places of the channels that the rule is for."""
        return [i for i, name in enumerate(channels) if matches(self.channels, name)]

    @property
    def needs_usual(self) -> bool:
        """True where the rule compares a value with the usual one."""
        return (
            self.direction != "both"
            or self.min_deviation is not None
            or self.min_relative_deviation is not None
        )

    @property
    def judges(self) -> bool:
        """True where the rule changes the judgement of the model."""
        return (
            self.ignore
            or self.needs_usual
            or self.usual_range is not None
            or self.sensitivity != 1.0
            or self.weight != 1.0
        )

    @property
    def says_nothing(self) -> bool:
        """True where the rule changes nothing."""
        return self.limit is None and not self.judges


def validate(rule: Rule) -> str:
    """Return the fault of a rule as a sentence; empty for a sound one."""
    for name in ("keys", "topics", "channels"):
        patterns = getattr(rule, name)
        if len(patterns) > MOST_PATTERNS:
            return (
                f"A rule has too many patterns in its {name}. Expected at most {MOST_PATTERNS}. "
                f"Received: {len(patterns)}. Make them wider, or write several rules."
            )
        if not patterns or not all(patterns):
            return (
                f"A rule needs patterns for its {name}. Expected 1 to {MOST_PATTERNS} texts like "
                f"'web-*', none of them empty. Received: {name}={list(patterns)[:5]}."
            )
        longest = max(patterns, key=len)
        if len(longest) > MOST_PATTERN_LENGTH:
            return (
                f"A pattern of a rule's {name} is too long. Expected at most "
                f"{MOST_PATTERN_LENGTH} characters. Received: {len(longest)}."
            )
        if fault := bracket_fault(patterns):
            return f"`{name}`: {fault}"
    return _wrong_number(rule) or _wrong_range(rule) or _wrong_limit(rule.limit) or _empty(rule)


def _wrong_number(rule: Rule) -> str:
    for name in ("min_deviation", "min_relative_deviation"):
        value = getattr(rule, name)
        if value is not None and not (isfinite(value) and value >= 0.0):
            return (
                f"The {name} of a rule is a size. Expected 0 or more. Received: {name}={value}. "
                "Use direction for one side only."
            )
    if not 1.0 / MOST_SENSITIVITY <= rule.sensitivity <= MOST_SENSITIVITY:
        return (
            "The sensitivity of a rule is a factor on the alert budget. Expected "
            f"{1.0 / MOST_SENSITIVITY:g} to {MOST_SENSITIVITY:g}. "
            f"Received: sensitivity={rule.sensitivity}."
        )
    if not 0.0 <= rule.weight <= MOST_WEIGHT:
        return (
            "The weight of a rule is a factor on how unusual a channel is. Expected 0 to "
            f"{MOST_WEIGHT:g}. Received: weight={rule.weight}."
        )
    return ""


def _wrong_range(rule: Rule) -> str:
    if rule.usual_range is None:
        return ""
    low, high = rule.usual_range
    if isfinite(low) and isfinite(high) and low <= high:
        return ""
    return (
        "The usual_range of a rule is its lowest and its highest value. Expected two numbers that "
        f"do not fall. Received: usual_range=[{low}, {high}]."
    )


def _wrong_limit(limit: Limit | None) -> str:
    if limit is None:
        return ""
    bounds = [bound for bound in (limit.above, limit.below) if bound is not None]
    if not bounds or not all(map(isfinite, bounds)):
        return (
            "A limit needs a bound. Expected above, below or both, as numbers. Received: "
            f"above={limit.above}, below={limit.below}."
        )
    if limit.above is not None and limit.below is not None and limit.below > limit.above:
        return (
            "No value is within this limit. Expected below <= above. Received: "
            f"below={limit.below}, above={limit.above}."
        )
    if seconds_of(limit.for_) is None:
        return (
            "The `for` of a limit is a duration. Expected a number and s, m, h or d, such as "
            f"'10m'. Received: for={limit.for_!r}."
        )
    return ""


def _empty(rule: Rule) -> str:
    if not rule.says_nothing:
        return ""
    return (
        "A rule that changes nothing. Expected one of ignore, direction, min_deviation, "
        "min_relative_deviation, usual_range, limit, sensitivity and weight. Received: none."
    )
