"""Standing of one key: state, usual values of its next row, open alerts, documents about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ember_core.pipeline import COVERAGE, FleetModel, first_band
from stream.configure import load_models
from stream.control import NO_CONTROL, ControlSet, documents_for_key
from stream.engine import Profiles
from stream.errors import UserError
from stream.keys import key_text, quoted
from stream.settings import Settings
from stream.tools.state import StateLog

from .control.topic import read as read_control
from .options import InputTopicOptions
from .output import clean
from .state import card, open_log

_SHOWN_CHANNELS = 40
_SECOND_US = 1_000_000


def summary_of(key: bytes, source: InputTopicOptions, model: Path | None) -> dict[str, Any]:
    """Return how a key stands, as of the last checkpoint, as JSON values.

    Args:
        key: Stream key.
        source: Input topic of the key.
        model: Folder of the bundle; None: that of the settings.

    Raises:
        UserError: If nothing is remembered of the key, or the cluster cannot be used.
    """
    settings, log = source.settings(), open_log(source)
    cards = [
        card(key, name, state.partition, row, state.meta)
        for name in log.topics
        for state in log.read(name, lambda k: k == key)
        for row in state.rows.values()
    ]
    if not cards:
        raise UserError(
            f"Nothing is remembered of key {quoted(key)}. Expected a key of "
            f"{', '.join(log.topics)} that has sent before the last checkpoint. "
            "`ember key KEY --html FILE` replays its records."
        )
    entry = cards[-1]
    stream = settings.stream_names.get(entry["topic"], entry["topic"])
    alerts = _alerts(log, entry["topic"], key)
    usual, why_unknown = _usual(settings, model, key, entry)
    control, why_unread = _control(settings)
    ids = {alert["id"] for alert in alerts if alert["id"]}
    documents = documents_for_key(control, stream, key_text(key), ids)
    fields = entry["fields"]
    return {
        **{name: entry[name] for name in ("key", "topic", "partition", "offset", "last_record")},
        "model": entry["model"],
        "rows": int(fields.get("rows", 0)),
        "evidence": fields.get("evidence"),
        "standing": entry["standing"],
        "open": alerts,
        "coverage": COVERAGE,
        "usual": usual,
        "usual_unknown": why_unknown,
        "documents": [
            {"kind": d.kind, "name": d.name, "author": d.author, "reason": d.reason}
            for d in documents
        ],
        "documents_unread": why_unread,
    }


def summary_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a summary as names and values for a terminal.

    Args:
        summary: Result of `summary_of`.
    """
    location = f"{summary['topic']}-{summary['partition']}, offset {summary['offset']:,}"
    lines = [
        ("key", summary["key"]),
        ("place", location),
        ("last record", summary["last_record"] or "-"),
        ("rows", f"{summary['rows']:,}"),
        ("standing", " ".join(summary["standing"])),
    ]
    lines += [
        ("open alert", f"{alert['name']} since {alert['since']}: {alert['summary']}")
        for alert in summary["open"]
    ]
    lines += [
        (
            f"{d['kind']}",
            f"{d['name']} of {d['author']}" + (f": {d['reason']}" if d["reason"] else ""),
        )
        for d in summary["documents"]
    ]
    if summary["documents_unread"]:
        lines.append(("documents", summary["documents_unread"]))
    channels = summary["usual"]
    lines += [(name, _band_text(band)) for name, band in list(channels.items())[:_SHOWN_CHANNELS]]
    if len(channels) > _SHOWN_CHANNELS:
        lines.append(("...", f"{len(channels) - _SHOWN_CHANNELS:,} more channels: --json"))
    if summary["usual_unknown"]:
        lines.append(("usual values", summary["usual_unknown"]))
    return [(clean(name), clean(text)) for name, text in lines]


def _band_text(band: Mapping[str, float | None]) -> str:
    usual, lower, upper = (band[name] for name in ("usual", "lower", "upper"))
    if usual is None:
        return "usual value unknown"
    text = f"usually {usual:.4g}"
    return text if lower is None or upper is None else f"{text} ({lower:.4g} to {upper:.4g})"


def _alerts(log: StateLog, topic: str, key: bytes) -> list[dict[str, Any]]:
    return [
        {
            "name": alert.labels.get("alertname", ""),
            "since": alert.body.get("startsAt"),
            "summary": (alert.body.get("annotations") or {}).get("summary", ""),
            "id": next(
                (_text(value) for name, value in alert.headers if name == "ce_id" and value), ""
            ),
        }
        for alert in log.open_alerts(topic)
        if alert.key == key
    ]


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _control(settings: Settings) -> tuple[ControlSet, str]:
    """Return the documents in force, and the reason why they could not be read."""
    if not settings.control_topic:
        return NO_CONTROL, ""
    try:
        return read_control(settings).current, ""
    except UserError as error:
        return NO_CONTROL, error.message


def _usual(
    settings: Settings, folder: Path | None, key: bytes, entry: Mapping[str, Any]
) -> tuple[dict[str, dict[str, float | None]], str]:
    """Return the usual band of the key's next row by channel, and the reason why there is none."""
    try:
        fleet = load_models(settings, folder)
    except UserError as error:
        return {}, error.message
    model = fleet.model_of(key) if isinstance(fleet, Profiles) else fleet
    if model is None or model.sha256 != entry["model"]:
        received = "none" if model is None else model.sha256[:12]
        return {}, (
            "The key's state is of another model than that of the settings. Expected the bundle "
            f"{str(entry['model'])[:12]}. Received: {received}."
        )
    return next_band(model, key, entry["fields"]), ""


def next_band(
    model: FleetModel, key: bytes, fields: Mapping[str, Any]
) -> dict[str, dict[str, float | None]]:
    """Return the usual band of the row that a key is expected to send next, by channel.

    Without scores of the key (`output.scores`) its row has no band: that of the training counts.

    Args:
        model: Model of the key.
        key: The key.
        fields: Fields of the key's state row, NaN as None.
    """
    pipeline, channels = model.pipeline, model.channels
    state = {
        f.name: np.array([_numbers(fields[f.name])], dtype=np.float64).astype(f.dtype)
        for f in pipeline.state_fields()
    }
    interval = float(state["interval"][0]) if "interval" in state else 0.0
    time_us = state["last_time"].astype(np.int64) + max(round(interval * _SECOND_US), 1)
    no_values = np.full((1, len(channels)), np.nan)
    observation = pipeline.observe(state, no_values, time_us)
    bounds = first_band(model, key)
    if "band" in fields:
        bounds = np.array([_numbers(fields["band"])], dtype=np.float32)
    band = pipeline.usual_rows(observation, np.arange(1), no_values).band(bounds)
    return {
        name: {
            part: float(column[0, i]) if np.isfinite(column[0, i]) else None
            for part, column in zip(("usual", "lower", "upper"), band, strict=True)
        }
        for i, name in enumerate(channels)
    }


def _numbers(value: Any) -> Any:
    """Return the numbers of a field, None as NaN."""
    if isinstance(value, list):
        return [_numbers(element) for element in value]
    return np.nan if value is None else value
