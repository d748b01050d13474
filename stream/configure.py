"""Construction of the model and the engine from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ember_core.pipeline import FleetModel
from ember_core.serialize import BundleError
from stream import bundles
from stream.codecs import contested
from stream.correlation import Rules
from stream.engine import AnyEngine, Engine, Limits, ProfiledEngine, Profiles, WindowSpec
from stream.engine.state.spill import Spill
from stream.kafka.config import WorkerConfig
from stream.kafka.model_topic.source import BundleSource
from stream.key_pattern import KeyPattern
from stream.settings import Settings

from .errors import UserError
from .expectations import require_reach

INCIDENTS_CONFIG = {"retention.ms": str(35 * 86_400_000)}
"""Settings of the topic of incidents: the budget of pages looks back over four weeks of them."""


class NoModelError(UserError):
    """The model topic has no bundle yet."""


def load_model(settings: Settings, path: Path | None = None) -> FleetModel:
    """Read the bundle and apply the settings that need no training.

    Args:
        settings: Sections `model`, `alerts` and `window`.
        path: Folder of the bundle. Default: that of `model.path`, which must have the digest
            `model.sha256` if one is set; or the newest bundle of `model.topic`.

    Raises:
        UserError: If the bundle cannot be used.
    """
    if path is None and settings.model_topic:
        source = bundle_source(settings, kept=False)
        bundle = asyncio.run(source.newest())
        if bundle is None:
            raise NoModelError(
                "There is no model yet. Expected a bundle in the model topic. Received: "
                f"model.topic={settings.model_topic!r} without one. Publish one with `ember model "
                "deploy`."
            )
        return load_model(settings, bundle.folder)
    try:
        folder = path or bundle_folder(settings)
        expected = "" if path else settings.model.sha256
        digest = bundles.check(folder, expected, settings.model.public_key)
        model = FleetModel.load(folder, backend="numpy")
        # Somebody may have replaced the files between the check and the reading.
        if model.sha256 != digest:
            raise BundleError(
                f"The bundle changed while it was read. Expected sha256={digest}. Received: "
                f"sha256={model.sha256} of {str(folder)!r}. Read it again when it is written."
            )
    except BundleError as error:
        raise UserError(str(error)) from error
    # A default of the settings is no calibration: only an explicit one replaces the bundle's.
    warm_up = _warm_up(settings, model)
    explicit = settings.alerts.model_fields_set
    try:
        model.configure(
            budget_per_week=settings.alerts.budget_per_week,
            evidence_rows=settings.alerts.evidence_rows if "evidence_rows" in explicit else None,
            refractory_rows=settings.alerts.refractory_rows,
            warmup_score=warm_up[0],
            warmup_alarm=warm_up[1],
            max_gap=float(settings.window.max_gap),
            anomaly_severity=settings.alerts.anomaly_severity,
        )
    except ValueError as error:  # a budget that can never fire
        raise UserError(f"alerts.budget: {error}") from error
    if settings.alerts.budget is not None:
        require_reach(model, settings.alerts.budget)
    return model


def load_models(
    settings: Settings, path: Path | None = None, folders: Mapping[str, Path] | None = None
) -> FleetModel | Profiles:
    """Read the bundles of the settings: one, or those of `model.profiles` as well.

    Args:
        settings: Sections `model`, `alerts`, `window` and `input`.
        path: Folder of the one bundle, which then judges all keys. Default: as the settings say.
        folders: Folders of bundles that topics have brought, by the pattern of their profile.

    Raises:
        UserError: If a bundle cannot be used, or two do not go together.
    """
    folders = folders or {}
    if path is not None or not settings.model.profiles:
        return load_model(settings, path or folders.get(""))
    models = {}
    for pattern, view in settings.by_profile.items():
        # Only `model.path` itself may be an address, with a digest.
        folder = settings.model.profiles.get(pattern) if not settings.model.topic else None
        try:
            models[pattern] = load_model(view, folder or folders.get(pattern))
        except NoModelError:
            raise
        except UserError as error:
            name = f"Profile {pattern!r}: " if pattern else ""
            raise UserError(f"{name}{error.message}") from error
    default = models.pop("", None)
    profiles = Profiles(list(models.items()), default)
    if names := contested(settings.input.codec, [model.sources for model in profiles.models]):
        raise UserError(
            "Two profiles read one measurement as different channels. Expected models whose "
            f"channels are named alike. Received: {names[0]!r} and {names[1]!r}. Train them again "
            "with the same channels (`ember train --channels`)."
        )
    return profiles


def models_of(models: FleetModel | Profiles) -> dict[str, FleetModel]:
    """Return the models by the pattern of their profile; that of one model is empty."""
    if isinstance(models, Profiles):
        return {models.name(number): model for number, model in enumerate(models.models)}
    return {"": models}


def _warm_up(settings: Settings, model: FleetModel) -> tuple[int, int]:
    """Return the rows before a key new to the model is scored, and before it may alarm."""
    config, asked = model.pipeline.config, settings.model
    score = config.warmup_score if asked.warmup_rows is None else asked.warmup_rows
    alarm = config.warmup_alarm if asked.alarm_warmup_rows is None else asked.alarm_warmup_rows
    return score, max(score, alarm)


def bundle_folder(settings: Settings) -> Path:
    """Return the folder of the bundle of `model.path`; fetch it first if that is an address.

    Raises:
        UserError: If the bundle cannot be fetched.
        BundleError: If the files are not a bundle.
    """
    path = settings.model.path
    if isinstance(path, Path):
        return path
    signed = settings.model.public_key is not None
    cache = settings.state.directory / "models"
    return bundles.fetch(path, settings.model.sha256, cache, signed=signed)


def bundle_source(settings: Settings, *, kept: bool = True) -> BundleSource:
    """Return the source of the bundles of `model.topic`.

    Args:
        settings: Sections `kafka`, `model` and `state`.
        kept: Whether bundles stay in `state.directory` for the next start.
    """
    config = WorkerConfig.from_settings(settings)
    # Each profile has a folder of its own: a source removes the bundles that it does not need.
    name = config.model_topic if config.profile else config.group
    folder = settings.state.directory / "models" / quote(name, safe="")
    return BundleSource(config, folder if kept else None, settings.model.public_key)


def window_spec(settings: Settings) -> WindowSpec:
    """Return the windowing of samples into rows."""
    window = settings.window
    return WindowSpec(
        mode=window.mode,
        interval_us=round(window.interval_seconds * 1e6),
        lateness_us=round(window.allowed_lateness_seconds * 1e6),
        aggregate=window.aggregate,
        aggregates=tuple(window.aggregates.items()),
    )


def other_window(trained: Mapping[str, Any] | None, settings: Settings) -> str:
    """Return a sentence where rows are other intervals than those of the training; else nothing.

    Args:
        trained: Entry `window` of the model's report; None: its rows were records, or unknown.
        settings: Section `window`.
    """
    window = settings.window
    if trained is None or (window.mode, window.interval_seconds) == (
        trained.get("mode"),
        trained.get("interval_seconds"),
    ):
        return ""
    return (
        f"The model was trained on rows of {trained.get('interval_seconds')} s, and the settings "
        f"make others (window.mode={window.mode}, window.interval_seconds="
        f"{window.interval_seconds:g}): set these as in training, or train again."
    )


def engine_settings(settings: Settings) -> tuple[WindowSpec, Limits]:
    """Return the engine's windowing and limits."""
    window, spec = settings.window, window_spec(settings)
    limits = Limits(
        max_keys=settings.state.max_keys,
        future_us=round(settings.input.future_seconds * 1e6),
        stale_intervals=window.stale_intervals,
        ttl_us=round(settings.state.ttl_seconds * 1e6),
        missing_channels=settings.alerts.missing_channels,
        hard_limits=settings.control.enabled,
    )
    return spec, limits


def make_engine(
    settings: Settings,
    model: FleetModel | Profiles,
    spill: Callable[[], Spill] | None = None,
) -> AnyEngine:
    """Create an engine without partitions.

    Args:
        settings: Sections `window`, `state`, `input` and `output`.
        model: The model, or the models of profiles.
        spill: Factory of the storage on disk for evicted rows of a partition; None: no eviction.
    """
    window, limits = engine_settings(settings)
    limits = replace(limits, detailed=settings.output.scored_keys)
    if isinstance(model, Profiles):
        return ProfiledEngine(model, window, limits, spill, settings.stream_names)
    return Engine(model, window, limits, spill, settings.stream_names)


def incident_rules(settings: Settings) -> Rules:
    """Return the rules by which keys that fire together are one incident."""
    section = settings.incidents
    return Rules(
        pattern=KeyPattern(section.key_pattern),
        same_labels=section.shared_labels,
        window=section.window_seconds,
        gather=section.gather_seconds,
        storm_keys=section.storm_keys,
        update=section.update_seconds,
        max_members=section.max_members,
        max_alerts=section.max_alerts,
    )
