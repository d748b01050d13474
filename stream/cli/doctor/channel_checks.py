"""Checks of `ember doctor` on channels: those of the model, those of the records."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

import numpy as np

from .evidence import Evidence
from .findings import Check

_SHOWN = 8
_COUNTER_FROM = 5
"""Values of a key below which a channel that never falls proves nothing."""


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
    shown = ", ".join(_with_hint(channel, evidence.channels) for channel in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    none = len(missing) == len(channels)
    yield Check(
        name,
        "fail" if none else "warn",
        f"{len(missing)} of the model's {len(channels)} channels are in none of the newest "
        f"records: {shown}{more}.",
        _fix(evidence, none),
    )


def _with_hint(channel: str, present: list[str]) -> str:
    """Return a channel that is absent, with the present one that is likely meant."""
    folded = {_folded(name): name for name in present}
    close = get_close_matches(_folded(channel), list(folded), n=1, cutoff=0.8)
    return f"{channel} (there is {folded[close[0]]})" if close else channel


def _folded(name: str) -> str:
    return name.casefold().replace("_", ".").replace("-", ".")


def _fix(evidence: Evidence, none: bool) -> str:
    if none:
        return (
            "This model is not for this topic: set model.path, or train one on its records "
            f"(`ember train kafka:{evidence.topic} --out DIR`)."
        )
    mapped = evidence.codec in ("json", "avro")
    names = "Map names with [input.fields]" if mapped else "Let the producer send them"
    return f"They count as missing. {names}, or train without them (--drop)."


def unused(evidence: Evidence) -> Iterator[Check]:
    """Tell which channels of the records the model does not use."""
    if evidence.model is None:
        return
    left_out = [name for name in evidence.channels if name not in set(evidence.model.sources)]
    if left_out and len(left_out) < len(evidence.channels):
        shown = ", ".join(left_out[:_SHOWN])
        more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
        yield Check(
            f"channels of {evidence.topic}",
            "ok",
            f"{len(left_out)} channels of the records are not used by the model: {shown}{more}.",
        )
