"""`ember model diff`: the differences between two bundles."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ember_core.pipeline import FleetModel
from stream.cli.options import SettingsArgs, SettingsOptions
from stream.cli.output import clean, print_fields, shortened
from stream.configure import load_model
from stream.engine import model_version_of
from stream.keys import key_text
from stream.settings import Settings

_SHOWN = 12  # weights and names on a terminal


def diff(
    before: Path,
    after: Path,
    /,
    *,
    json: bool = False,
    source: SettingsArgs = SettingsOptions(),
) -> None:
    """Print the differences of two bundles: channels, shape, thresholds, weights, known keys.

    Thresholds are those the service would use: the settings come before the bundle.

    Args:
        before: Folder of the first bundle.
        after: Folder of the second bundle.
        json: Print one JSON object.
        source: Settings file.
    """
    settings = Settings.load(source.config)
    differences = compare(load_model(settings, before), load_model(settings, after))
    if json:
        sys.stdout.write(json_.dumps(differences) + "\n")
    else:
        print_fields(_lines(differences))


def compare(before: FleetModel, after: FleetModel) -> dict[str, Any]:
    """Return all differences as JSON values.

    Args:
        before: First model.
        after: Second model.

    Returns:
        `same`: True if both score alike. `model`, `config`, `thresholds`, `tail`, `training`: both
        values by name. `channels`, `keys`: names `added` and `removed`. `weights`: distance by
        name, relative to the norm of the first; None for different shapes. `state`: the part of its
        state that a key keeps if the second model follows the first.
    """
    a, b = before.pipeline, after.pipeline
    same_order = before.channels == after.channels
    same_channels = before.identity == after.identity
    return {
        "same": model_version_of(before) == model_version_of(after),
        "model": _changed(_named(before), _named(after)),
        "channels": {
            **_sets(before.identity, after.identity),
            "reordered": set(before.channels) == set(after.channels) and not same_order,
        },
        "config": _changed(_shape(before), _shape(after)),
        "thresholds": _changed(
            model_version_of(before).thresholds, model_version_of(after).thresholds
        ),
        "tail": _changed(a.tail.get_config(), b.tail.get_config()),
        "weights": _distances(a.state_dict(), b.state_dict()),
        "keys": _sets(map(key_text, before.keys), map(key_text, after.keys)),
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
    """Return the part of the config that training fixed: all but thresholds and channels."""
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
    old_names, new_names = set(old), set(new)
    return {
        "added": [name for name in new if name not in old_names],
        "removed": [name for name in old if name not in new_names],
    }


def _distances(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float | None]:
    """Return the relative distance of every array of weights that differs."""
    distances: dict[str, float | None] = {}
    for name in dict.fromkeys((*before, *after)):
        x, y = (np.asarray(w.get(name, np.nan), dtype=np.float64) for w in (before, after))
        if x.shape != y.shape or name not in before or name not in after:
            distances[name] = None
        elif not np.array_equal(x, y):
            size = float(np.linalg.norm(x))
            distances[name] = float(np.linalg.norm(y - x)) / size if size else float("inf")
    return distances


def _lines(differences: dict[str, Any]) -> list[tuple[str, str]]:
    if differences["same"]:
        return [("same", "the two judge alike")]
    lines = []
    for part in ("model", "config", "thresholds", "tail", "training"):
        lines += [
            (name, f"{_value(old)} -> {_value(new)}")
            for name, (old, new) in differences[part].items()
        ]
    for part in ("channels", "keys"):
        for change in ("added", "removed"):
            names = differences[part][change]
            if names:
                text = f"{len(names):,}: {shortened(names, _SHOWN)}"
                lines.append((f"{part} {change}", text))
    if differences["channels"]["reordered"]:
        lines.append(("channels", "the same, in another order"))
    # Largest distance first; arrays of another shape before all others.
    weights = sorted(
        differences["weights"].items(), key=lambda w: -(w[1] if w[1] is not None else 1e300)
    )
    for name, distance in weights[:_SHOWN]:
        text = "another shape" if distance is None else f"{distance:.3g} of its norm away"
        lines.append((name, text))
    if len(weights) > _SHOWN:
        lines.append(("", f"and {len(weights) - _SHOWN:,} more weights"))
    return [*lines, ("a key keeps", differences["state"])]


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else clean(value)
