"""`ember model diff`: what differs between two bundles."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ember_core.pipeline import FleetModel
from stream.cli.lines import clean
from stream.cli.named import print_named
from stream.configure import load_model
from stream.engine import model_version_of
from stream.records import text_of
from stream.settings import Settings

_SHOWN = 12  # weights and names on a terminal


def diff(before: Path, after: Path, /, *, json: bool = False, config: Path | None = None) -> None:
    """Say what differs between two bundles: channels, shape, thresholds, weights, known keys.

    Thresholds are those the service would use: the bundles', under the settings.

    Args:
        before: Folder of the one.
        after: Folder of the other.
        json: Print one JSON object.
        config: Settings file; default ember.toml where there is one.
    """
    settings = Settings.load(config)
    found = compare(load_model(settings, before), load_model(settings, after))
    if json:
        sys.stdout.write(json_.dumps(found) + "\n")
    else:
        print_named(_lines(found))


def compare(before: FleetModel, after: FleetModel) -> dict[str, Any]:
    """All differences, as JSON values.

    Returns:
        `same`: the two judge alike. `model`, `config`, `thresholds`, `tail`, `training`: name to
        the two values. `channels`, `keys`: what was `added` and `removed`. `weights`: name to the
        distance, in norms of the one before; None where the shapes differ. `state`: what a key
        keeps when the one follows the other.
    """
    a, b = before.pipeline, after.pipeline
    same_channels = before.channels == after.channels
    return {
        "same": model_version_of(before) == model_version_of(after),
        "model": _changed(_named(before), _named(after)),
        "channels": {
            **_sets(before.channels, after.channels),
            "reordered": set(before.channels) == set(after.channels) and not same_channels,
        },
        "config": _changed(_shape(before), _shape(after)),
        "thresholds": _changed(
            model_version_of(before).thresholds, model_version_of(after).thresholds
        ),
        "tail": _changed(a.tail.get_config(), b.tail.get_config()),
        "weights": _distances(a.state_dict(), b.state_dict()),
        "keys": _sets(map(text_of, before.keys), map(text_of, after.keys)),
        "training": _changed(_figures(before), _figures(after)),
        "state": (
            "all of it"
            if before.sha256 == after.sha256
            else "scales and windows; a short quiet time"
            if same_channels
            else "its place in the log only"
        ),
    }


def _named(model: FleetModel) -> dict[str, Any]:
    return {"name": model.name, "version": model.version, "sha256": model.sha256}


def _shape(model: FleetModel) -> dict[str, Any]:
    """What training fixed: the rest of the config is thresholds and channels."""
    free = {"channels", *model_version_of(model).thresholds}
    return {k: v for k, v in model.pipeline.config.as_json().items() if k not in free}


def _figures(model: FleetModel) -> dict[str, Any]:
    return {k: v for k, v in model.report.items() if isinstance(v, int | float | str)}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    names = dict.fromkeys((*before, *after))
    pairs = {name: [before.get(name), after.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _sets(before: Any, after: Any) -> dict[str, Any]:
    old, new = list(before), list(after)
    known, now = set(old), set(new)
    return {
        "added": [name for name in new if name not in known],
        "removed": [name for name in old if name not in now],
    }


def _distances(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float | None]:
    """Relative distance of every array of weights that differs."""
    found: dict[str, float | None] = {}
    for name in dict.fromkeys((*before, *after)):
        x, y = (np.asarray(w.get(name, np.nan), dtype=np.float64) for w in (before, after))
        if x.shape != y.shape or name not in before or name not in after:
            found[name] = None
        elif not np.array_equal(x, y):
            size = float(np.linalg.norm(x))
            found[name] = float(np.linalg.norm(y - x)) / size if size else float("inf")
    return found


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    if found["same"]:
        return [("same", "the two judge alike")]
    lines = []
    for part in ("model", "config", "thresholds", "tail", "training"):
        lines += [
            (name, f"{_value(old)} -> {_value(new)}") for name, (old, new) in found[part].items()
        ]
    for part in ("channels", "keys"):
        for how in ("added", "removed"):
            names = found[part][how]
            if names:
                more = f", and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
                shown = ", ".join(clean(name) for name in names[:_SHOWN])
                lines.append((f"{part} {how}", f"{len(names):,}: {shown}{more}"))
    if found["channels"]["reordered"]:
        lines.append(("channels", "the same, in another order"))
    weights = sorted(found["weights"].items(), key=lambda w: -(w[1] if w[1] is not None else 1e300))
    for name, distance in weights[:_SHOWN]:
        text = "another shape" if distance is None else f"{distance:.3g} of its norm away"
        lines.append((name, text))
    if len(weights) > _SHOWN:
        lines.append(("", f"and {len(weights) - _SHOWN:,} more weights"))
    return [*lines, ("a key keeps", found["state"])]


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else clean(value)
