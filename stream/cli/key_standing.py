"""Standing of a key in words: does it warm up, is it quiet, idle or firing, which channels lack?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ember_core.pipeline.arrival import SURE_ROWS
from stream.records import rfc3339

_DEFAULTS = {"warmup_score": 500.0, "warmup_alarm": 2_000.0, "quiet_rows": 128.0, "max_gap": 10.0}


def standing(
    fields: Mapping[str, Any], channels: Sequence[str], thresholds: Mapping[str, float]
) -> list[str]:
    """Return what a key's state row says about its standing, a sentence each.

    Args:
        fields: Fields of the row.
        channels: Channels of the model, in the order of the fields.
        thresholds: Thresholds of the model in use, of the partition's meta row.
    """
    limits = {name: float(thresholds.get(name, value)) for name, value in _DEFAULTS.items()}
    rows, is_known = int(fields.get("rows", 0)), bool(fields.get("known", 0))
    sentences = [_warming(rows, is_known, limits), *_flags(fields)]
    names = dict(enumerate(channels))
    gone_channels = [i for i, mark in enumerate(fields.get("channel_gone") or []) if mark]
    missing_rows = fields.get("missing_rows") or []
    sentences += [
        f"Channel {names.get(i, i)} is missing, for {missing_rows[i]:,} rows."
        for i in gone_channels
    ]
    for side, opened in zip(("above", "below"), fields.get("limit_open") or [], strict=False):
        sentences += [
            f"Channel {names.get(i, i)} is {side} its limit, since {rfc3339(since)}."
            for i, since in enumerate(opened)
            if since
        ]
    never = [i for i, gap in enumerate(fields.get("usual_gap") or []) if not gap]
    if never and rows:
        listed = ", ".join(str(names.get(i, i)) for i in never[:8])
        rest = f" and {len(never) - 8:,} more" if len(never) > 8 else ""
        sentences.append(f"Never came: {listed}{rest}.")
    aged = [
        i
        for i, age in enumerate(fields.get("age") or [])
        if age is not None and age > limits["max_gap"] and i not in gone_channels and i not in never
    ]
    if aged:
        listed = ", ".join(str(names.get(i, i)) for i in aged[:8])
        sentences.append(f"Not carried forward any more, and taken at its mean: {listed}.")
    return sentences


def _warming(rows: int, is_known: bool, limits: Mapping[str, float]) -> str:
    """Return whether the rows of a key are scored, and whether they may fire."""
    quiet = int(limits["quiet_rows"])
    if is_known:
        if rows < quiet:
            return f"Known to the model; quiet until row {quiet:,}: {rows:,} rows so far."
        return "Known to the model; scored, and may fire."
    score, alarm = int(limits["warmup_score"]), int(limits["warmup_alarm"])
    alarm = alarm if alarm == score else max(alarm, quiet)
    if rows < score:
        return (
            f"Unknown to the model; warms up until row {score:,}, and may fire after row "
            f"{alarm:,}: {rows:,} rows so far."
        )
    if alarm == score and rows < SURE_ROWS:
        return (
            "Unknown to the model; scored, and may fire; it is surer with more rows, up to "
            f"{SURE_ROWS:,}: {rows:,} rows so far."
        )
    if rows < alarm:
        return (
            f"Unknown to the model; scored, but may not fire before row {alarm:,}: {rows:,} rows "
            "so far."
        )
    return "Unknown to the model, and warm; scored, and may fire."


def _flags(fields: Mapping[str, Any]) -> list[str]:
    sentences = []
    if fields.get("stale"):
        sentences.append("Idle: it has stopped sending.")
    if fields.get("firing"):
        sentences.append(f"Firing, for {int(fields.get('episode_rows', 0)):,} rows.")
    return sentences
