"""Checks of `ember doctor` on channels: those of the model, those of the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import numpy as np

from ember_core.rows.recognise import find_counters
from stream.records import Temporality

from .evidence import Evidence, Reading
from .findings import Check

_SHOWN = 8


def fit(evidence: Evidence) -> Iterator[Check]:
    """Check that the records have the channels of the model."""
    if evidence.model is None or evidence.scored is None:
        return
    name = f"channels of {evidence.topic}"
    channels = evidence.model.sources
    absent = (~np.isnan(evidence.scored.decoded.values)).sum(axis=0) == 0
    missing = [channel for channel, is_absent in zip(channels, absent, strict=True) if is_absent]
    if not missing:
        yield Check(name, "ok", f"All {len(channels)} channels of the model occur.")
        return
    examples = ", ".join(_with_hint(channel, evidence.channels) for channel in missing[:_SHOWN])
    all_missing = len(missing) == len(channels)
    yield Check(
        name,
        "fail" if all_missing else "warn",
        f"{len(missing)} of the model's {len(channels)} channels are in none of the newest "
        f"records: {examples}{_more(missing)}.",
        _fix(evidence, all_missing),
    )


def _with_hint(channel: str, present: list[str]) -> str:
    """Return a channel that is absent, with the present one that is likely meant."""
    folded = {_folded(name): name for name in present}
    close = get_close_matches(_folded(channel), list(folded), n=1, cutoff=0.8)
    return f"{channel} (there is {folded[close[0]]})" if close else channel


def _folded(name: str) -> str:
    return name.casefold().replace("_", ".").replace("-", ".")


def _fix(evidence: Evidence, all_missing: bool) -> str:
    if all_missing:
        return (
            "This model is not for this topic: set model.path, or train one on its records "
            f"(`ember train kafka:{evidence.topic} --out DIR`)."
        )
    mapped = evidence.codec in ("json", "avro")
    names = "Map names with [input.fields]" if mapped else "Let the producer send them"
    return f"They count as missing. {names}, or train without them (--drop)."


def counters(evidence: Evidence) -> Iterator[Check]:
    """Check that the model uses counters by their rates."""
    model, reading = evidence.model, evidence.scored
    if model is None or reading is None or not len(reading.decoded):
        return
    sampled = model.recipe.sampled if model.recipe is not None else ()
    rates = {channel.source for channel in sampled if channel.is_counter}
    names = list(model.sources)
    value_counters = [name for name in _counters(names, reading) if name not in rates]
    if value_counters:
        yield Check(
            f"channels of {evidence.topic}",
            "warn",
            f"{len(value_counters)} channels only rise, and the model uses their values: "
            f"{', '.join(value_counters[:_SHOWN])}{_more(value_counters)}. Soon they will be "
            "larger than ever.",
            f"Train again (`ember train kafka:{evidence.topic} --out DIR`): counters become rates. "
            'Or name them under [[channels]] with use = "rate".',
        )


def _counters(names: list[str], reading: Reading) -> list[str]:
    """Return the channels that are counters, by their format or their values."""
    decoded = reading.decoded
    present = ~np.isnan(decoded.values)
    by_format: set[str] = set()
    if decoded.temporality is not None:
        never_gauge = ~present[decoded.temporality == Temporality.GAUGE].any(axis=0)
        by_format = {names[i] for i in np.flatnonzero(never_gauge & present.any(axis=0)).tolist()}
    lines: dict[bytes, list[int]] = {}
    for line, key in enumerate(decoded.keys):
        lines.setdefault(key, []).append(line)
    history = []
    for key_lines in lines.values():
        order = np.array(key_lines)[np.argsort(decoded.time_us[key_lines], kind="stable")]
        history.append((decoded.time_us[order], decoded.values[order]))
    recognised = set(find_counters(names, history))
    return [name for name in names if name in by_format or name in recognised]


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""


def unused(evidence: Evidence) -> Iterator[Check]:
    """Tell which channels of the records the model does not use."""
    if evidence.model is None:
        return
    left_out = [name for name in evidence.channels if name not in set(evidence.model.sources)]
    if left_out and len(left_out) < len(evidence.channels):
        examples = ", ".join(left_out[:_SHOWN])
        yield Check(
            f"channels of {evidence.topic}",
            "ok",
            f"{len(left_out)} channels of the records are not used by the model: "
            f"{examples}{_more(left_out)}.",
        )
