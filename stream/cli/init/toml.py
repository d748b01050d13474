"""Text of `ember.toml`: settings with comments, and rules of the channels that need one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from .channels import MEANINGS, ChannelFacts
from .plan import Plan

_MOST_LISTED: Final = 400
_NAME_WIDTH: Final = 60

_INPUT_COMMENTS: Final = {
    "topics": "topic",
    "codec": "format",
    "key": "key",
    "rekey": "re-keying",
    "time": "time",
    "values": "channels in",
    "records": "records in",
    "time_zone": "time zone",
    "decimal": "decimal",
}
"""Choice whose reason stands above a setting."""

_LEARN: Final = (
    "# The workers train the model themselves from the topic, with these settings:",
    "# [model]",
    '# topic = "<group>-model"',
    "#",
    "# [learn]",
    "# enabled = true",
    '# every = "7d"',
)


def render(plan: Plan, written: datetime | None = None) -> str:
    """Return the text of the settings file.

    Args:
        plan: The choices.
        written: Time of the first line. Default: now.
    """
    day = (written or datetime.now(UTC)).date().isoformat()
    lines = [
        f"# Written by `ember init` on {day}, from {_comment(plan.source)}.",
        "# Check it with `ember config check` and `ember doctor`; `ember config schema` has the",
        "# other settings.",
        "",
    ]
    if plan.kafka:
        lines += ["[kafka]", *_settings(plan.kafka, {}), ""]
    comments = {name: _reason(plan, subject) for name, subject in _INPUT_COMMENTS.items()}
    lines += ["[input]", *_settings(plan.input, comments), ""]
    lines += ["[window]", *_settings(plan.window, {"mode": _reason(plan, "rows")}), ""]
    lines += _channels(plan)
    lines += _LEARN
    return "\n".join(lines).rstrip() + "\n"


def _reason(plan: Plan, about: str) -> str:
    reason = plan.reason(about)
    return f"{about.capitalize()}: {reason}." if reason else ""


def _settings(values: dict[str, Any], comments: dict[str, str]) -> Iterator[str]:
    for name, value in values.items():
        if comment := comments.get(name):
            yield f"# {_comment(comment)}"
        yield f"{name} = {quoted(value)}"


def _channels(plan: Plan) -> Iterator[str]:
    rows = "intervals" if plan.window.get("mode") == "time" else "records"
    yield f"# {len(plan.channels)} channels: share of the {rows} of the sample, kind, use."
    for fact in plan.channels[:_MOST_LISTED]:
        name = _comment(fact.name)
        use = fact.use or "value"
        yield f"#   {name:<{_NAME_WIDTH}} {100 * fact.share:4.0f} %  {fact.kind:<10} {use}"
    if len(plan.channels) > _MOST_LISTED:
        yield f"#   and {len(plan.channels) - _MOST_LISTED:,} more"
    if plan.texts:
        yield f"# Texts, and so no channels: {_comment(', '.join(plan.texts))}."
    yield "# For each channel the first rule that matches counts. Channels without one are used as"
    yield "# they are, or as rates where training finds that they only rise."
    yield ""
    rules = rules_of(plan.channels)
    for pattern, fact in rules:
        if fact.use:
            yield f"[[channels]]  # {MEANINGS[fact.kind]}"
            yield f"match = {quoted(pattern)}"
            yield f"use = {quoted(fact.use)}"
            yield ""
    yield from _optional(rules)


def _optional(rules: Sequence[tuple[str, ChannelFacts]]) -> Iterator[str]:
    """Yield rules in comments, for the reader to decide."""
    rates = [(pattern, fact) for pattern, fact in rules if fact.kind == "counter?"]
    constant = [(pattern, fact) for pattern, fact in rules if fact.kind == "constant"]
    if constant:
        yield "# A channel that is of no use to you is left out by a rule such as:"
    for pattern, fact, use in (
        *((pattern, fact, "ignore") for pattern, fact in constant[:1]),
        *((pattern, fact, "rate") for pattern, fact in rates),
    ):
        yield f"# [[channels]]  # {MEANINGS[fact.kind]}"
        yield f"# match = {_comment(quoted(pattern))}"
        yield f"# use = {quoted(use)}"
        yield ""


def rules_of(channels: Sequence[ChannelFacts]) -> list[tuple[str, ChannelFacts]]:
    """Return a pattern for each rule: one of all labels of a name, where they have one use.

    Args:
        channels: Facts about the channels.
    """
    rules: list[tuple[str, ChannelFacts]] = []
    ordered = sorted(channels, key=lambda fact: fact.name.partition("{")[0])
    for base, group in groupby(ordered, key=lambda fact: fact.name.partition("{")[0]):
        facts = list(group)
        # Without `{` a pattern stands for all labels.
        is_one = len({fact.use or fact.kind for fact in facts}) == 1
        rules += [(base, facts[0])] if is_one else [(fact.name, fact) for fact in facts]
    return rules


def quoted(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(quoted, value)) + "]"
    if isinstance(value, str):
        # A quoted text of JSON is one of TOML, but for this character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return json.dumps(value)


def _comment(text: str) -> str:
    """Return foreign text as one line without control characters."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
