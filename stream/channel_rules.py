"""Recipe of a model's channels, made of the rules of the settings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from ember_core.rows import Formula, RecipeChannel, RowRecipe

from .errors import UserError
from .settings import ChannelRule

_SHOWN = 5


def make_recipe(
    channels: Sequence[str],
    rules: Sequence[ChannelRule],
    counters: Collection[str] = (),
    gap_seconds: float = 0.0,
) -> RowRecipe | None:
    """Apply rules to the channels of some records.

    Args:
        channels: Names in the records.
        rules: Rules; of each channel the first that matches it counts.
        counters: Channels that are counters: they are rates unless a rule says otherwise.
        gap_seconds: Longest time between two samples of a counter that give a rate; 0: any.

    Returns:
        The recipe, or None where every channel stands in the records.

    Raises:
        UserError: If two channels get one name, a formula reads a channel that is not there, or
            none is left.
    """
    channels_made = []
    for source in channels:
        rule, parts = _first_match(source, rules)
        use = rule.use if rule is not None and rule.use else ""
        name = _renamed(rule.rename, parts, source) if rule is not None and rule.rename else source
        hidden = use == "ignore"
        use = use if use and not hidden else "rate" if source in counters else "value"
        channels_made.append(RecipeChannel(name, source, use, hidden=hidden))
    channels_made += [
        RecipeChannel(rule.name, compute=rule.compute) for rule in rules if rule.compute
    ]
    read = {name for rule in rules if rule.compute for name in Formula(rule.compute).names}
    used = tuple(channel for channel in channels_made if not channel.hidden or channel.name in read)
    if all(channel.is_plain for channel in used) and len(used) == len(channels):
        return None
    try:
        return RowRecipe(used, gap_seconds)
    except ValueError as error:
        raise UserError(f"{error} See [[channels]] in the settings.") from None


def unmatched(channels: Sequence[str], rules: Sequence[ChannelRule]) -> list[str]:
    """Return the patterns that match none of the channels."""
    return [
        rule.match
        for rule in rules
        if rule.match and not any(_match(rule.match, name) is not None for name in channels)
    ]


def contradictions(
    recipe: RowRecipe | None, channels: Sequence[str], rules: Sequence[ChannelRule]
) -> str:
    """Return a sentence where the rules of the settings are not those of a bundle; else nothing.

    Args:
        recipe: Recipe of the bundle.
        channels: Channels of the bundle.
        rules: Rules of the settings.
    """
    if not rules:
        return ""
    bundled = {c.name: c for c in _all(recipe, channels)}
    sources = list(dict.fromkeys(c.source for c in bundled.values() if c.source))
    counters = {c.source for c in bundled.values() if c.use == "rate"}
    try:
        ruled = {c.name: c for c in _all(make_recipe(sources, rules, counters), sources)}
    except UserError as error:
        return f"The [[channels]] of the settings do not fit the bundle's channels: {error.message}"
    names = [name for name in {**bundled, **ruled} if bundled.get(name) != ruled.get(name)]
    if not names:
        return ""
    differences = [
        f"{_text(bundled.get(n))} in the bundle, {_text(ruled.get(n))} in the settings"
        for n in names
    ]
    suffix = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (
        "The [[channels]] of the settings are not those that the model was trained with, and the "
        f"model's count: {'; '.join(differences[:_SHOWN])}{suffix}. Train it again with "
        "`ember train --config FILE` to use the settings'."
    )


def _all(recipe: RowRecipe | None, channels: Sequence[str]) -> Iterator[RecipeChannel]:
    if recipe is not None:
        yield from recipe.channels
    else:
        yield from (RecipeChannel(name, name) for name in channels)


def _text(channel: RecipeChannel | None) -> str:
    if channel is None:
        return "nothing"
    return f"`{channel.text}`" + (" hidden" if channel.hidden else "")


def _first_match(
    name: str, rules: Sequence[ChannelRule]
) -> tuple[ChannelRule | None, tuple[str, ...]]:
    for rule in rules:
        parts = _match(rule.match, name) if rule.match else None
        if parts is not None:
            return rule, parts
    return None, ()


def _match(pattern: str, name: str) -> tuple[str, ...] | None:
    """Return what each `*` stands for, and the labels that the pattern leaves out at the end."""
    text = "".join(
        "(.*?)" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern
    )
    subject, brace, labels = (name, "", "") if "{" in pattern else name.partition("{")
    match_result = re.fullmatch(text, subject, re.DOTALL)
    return None if match_result is None else (*match_result.groups(), brace + labels)


def _renamed(rename: str, parts: tuple[str, ...], source: str) -> str:
    """Return the new name: each `*` is what stood there, and labels stay."""
    stars = iter(parts[:-1])
    name = "".join(next(stars) if char == "*" else char for char in rename)
    labels = parts[-1]
    return name + labels if labels and source.endswith(labels) else name
