"""`ember model show`: the card of a bundle, without running it."""

from __future__ import annotations

import json as json_
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ember_core.distribution import NAME
from ember_core.models import DETECTOR, load_detector
from ember_core.pipeline import FleetModel
from ember_core.serialize import ARRAYS_FILE, load_bundle
from stream.cli.history_episodes import episodes_text, incident_lines, worst_lines
from stream.cli.options import SettingsArgs, SettingsOptions
from stream.cli.output import print_fields, shortened
from stream.cli.periods import length_text, period_text
from stream.configure import (
    bundle_folder,
    engine_settings,
    load_model,
    load_models,
    models_of,
)
from stream.engine import Engine
from stream.errors import UserError
from stream.expectations import expectation_lines, expectations
from stream.keys import key_text
from stream.settings import Settings
from stream.thresholds import episode_text

_SHOWN = 12  # names of channels and keys on a terminal


def show(
    directory: Path | None = None,
    /,
    *,
    json: bool = False,
    source: SettingsArgs = SettingsOptions(),
) -> None:
    """Print the card of a model bundle: its channels, thresholds and figures of training.

    Thresholds are those the service would use: the settings come before the bundle.

    Args:
        directory: Folder of the bundle. Default: model.path, and those of model.profiles.
        json: Print the card as one JSON object, with all keys; several by their pattern.
        source: Settings file.
    """
    if directory is None:
        _show_all(Settings.load(source.config), json=json)
        return
    _, stored = load_bundle(directory)
    if stored.get("kind") == DETECTOR:
        detector = load_detector(directory)
        head = {"kind": DETECTOR, "name": stored["name"], "training": stored["report"]}
        text = json_.dumps(head | detector.get_config()) if json else detector.summary()
        sys.stdout.write(text + "\n")
        return
    settings = Settings.load(source.config)
    model = load_model(settings, directory)
    values = card(model, directory, settings)
    if json:
        sys.stdout.write(json_.dumps(values) + "\n")
    else:
        print_fields(_lines(values))


def _show_all(settings: Settings, *, json: bool) -> None:
    """Print the card of the model in service, or of each profile's.

    Raises:
        UserError: If the model comes by a topic: it lies in no folder.
    """
    if settings.model_topic:
        raise UserError(
            "The model in service lies in a topic. Expected the folder of a bundle. Received: "
            f"model.topic={settings.model_topic!r}. `ember model history` shows its bundles.",
            exit_code=2,
        )
    models, section = models_of(load_models(settings)), settings.model
    cards = {}
    for pattern, model in models.items():
        folder = section.profiles[pattern] if pattern else bundle_folder(settings)
        cards[pattern] = card(model, folder, settings)
    if json:
        text = json_.dumps({"profiles": cards} if section.profiles else cards[""])
        sys.stdout.write(text + "\n")
        return
    for number, (pattern, values) in enumerate(cards.items()):
        if number:
            sys.stdout.write("\n")
        keys = [("profile", pattern or "other keys")] if section.profiles else []
        print_fields([*keys, *_lines(values)])


def card(model: FleetModel, directory: Path, settings: Settings) -> dict[str, Any]:
    """Return the card of a bundle as JSON values.

    Args:
        model: Model of the bundle, with the settings applied.
        directory: Folder of the bundle.
        settings: Sections `window` and `state`, which decide the size of a row.
    """
    _, stored = load_bundle(directory)
    pipeline = model.pipeline
    window, limits = engine_settings(settings)
    # A table of one key is enough to know the size of a row.
    row_bytes = Engine(model, window, replace(limits, max_keys=1)).row_bytes
    parameters = sum(int(np.asarray(v).size) for v in pipeline.state_dict().values())
    return {
        "name": model.name,
        "version": model.version,
        "sha256": model.sha256,
        "format_version": stored["format_version"],
        "library_version": stored.get("library_version"),
        "bytes": (directory / ARRAYS_FILE).stat().st_size,
        "parameters": parameters,
        "visible_units": pipeline.n_visible,
        "channels": list(model.identity),
        "config": {k: v for k, v in pipeline.config.as_json().items() if k != "channels"},
        "keys": [key_text(key) for key in model.keys],
        "thresholds": {
            "anomaly_severity": pipeline.config.anomaly_severity,
            **pipeline.motor.get_config(),
        },
        "tail": pipeline.tail.get_config(),
        "episode": episode_text(model),
        "expectations": expectations(model),
        "expected": expectation_lines(model),
        "training": model.report,
        "row_bytes": row_bytes,
    }


def _lines(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the card for people, as names and values."""
    config, limits, training = values["config"], values["thresholds"], values["training"]
    lines = [
        ("model", f"{values['name']}, version {values['version']}"),
        ("sha256", values["sha256"]),
        (
            "written by",
            f"{NAME} {values['library_version']}, format {values['format_version']}",
        ),
        (
            "size",
            f"{values['parameters']:,} numbers in the weights, {values['bytes']:,} bytes on disk",
        ),
        ("channels", _names(values["channels"])),
        ("keys", _names(values["keys"]) + "; any other key warms up on its own rows"),
        ("features", _features(config)),
        (
            "networks",
            (
                f"{config['hidden']} liquid neurons; RBM of {values['visible_units']} visible and "
                f"{config['rbm_hidden']} hidden units"
            ),
        ),
        ("anomaly", f"severity {limits['anomaly_severity']:g} and above"),
        ("episode", values["episode"]),
        ("new keys", _new_keys(config, training)),
        ("memory", f"{values['row_bytes']:,} bytes per key"),
    ]
    lines += [("expected" if i == 0 else "", line) for i, line in enumerate(values["expected"])]
    return lines + _training(training)


def _new_keys(config: dict[str, Any], report: dict[str, Any]) -> str:
    """Return from when on keys are scored that the model does not know, and how sure they are."""
    text = (
        f"scored after {config['warmup_score']:,} rows, may fire after {config['warmup_alarm']:,}"
    )
    by_age = (report.get("unseen_keys") or {}).get("confidence") or {}
    shares = [
        f"{100 * float(np.mean(shares)):.0f} % from row {int(age):,} on"
        for age, shares in by_age.items()
    ]
    return f"{text}; of their severity counts {', '.join(shares[::3])}" if shares else text


def _features(config: dict[str, Any]) -> str:
    if config["windows"] == "exponential":
        halves = ", ".join(f"{h:g}" for h in config["half_lives"])
        text = f"exponential windows, half-lives {halves} usual intervals"
    else:
        strides = ", ".join(str(s) for s in config["strides"])
        text = f"{config['windows']} windows of {config['window_size']} rows, strides {strides}"
    text += ", levels" if config["levels"] else ", departures only"
    periods = ", ".join(length_text(p) for p in config["periods_seconds"])
    return f"{text}; {'period ' + periods if periods else 'no period found'}"


def _training(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of training that the bundle has; other trainers may write fewer."""
    lines = []
    if "rows" in report:
        skipped = report.get("skipped_keys") or 0
        note = f"; {skipped:,} keys were too short" if skipped else ""
        lines.append(("trained on", f"{report['rows']:,} rows of {report['keys']:,} keys{note}"))
    if "digest" in report:
        lines.append(("data digest", str(report["digest"])))
    lines += [("period", period_text(period)) for period in report.get("periods", [])]
    lines += [("incidents", line) for line in incident_lines(report)]
    if "episodes" in report:
        lines.append(("history", episodes_text(report)))
        lines += [("", line) for line in worst_lines(report["episodes"])]
    quantiles = report.get("score_quantiles")
    if quantiles:
        text = ", ".join(f"{100 * float(q):g} % {v:.4g}" for q, v in quantiles.items())
        lines.append(("score", f"quantiles of training: {text}"))
    return lines


def _names(names: list[str]) -> str:
    """Return the number of names, and the first of them."""
    return f"{len(names):,}: {shortened(names, _SHOWN)}" if names else "none"
