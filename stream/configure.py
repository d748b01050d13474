"""From settings to a model and an engine: the one place where both meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ember_core.pipeline import FleetModel
from ember_core.serialize import BundleError
from stream import bundles
from stream.engine.state.spill import Spill

from .engine import Engine, Limits, WindowSpec
from .errors import UserError
from .settings import Settings


def load_model(settings: Settings, path: Path | None = None) -> FleetModel:
    """Read the bundle and apply the settings that need no training.

    Args:
        settings: Sections `model`, `alerts` and `window`.
        path: Folder of the bundle; default that of `model.path`, which must have `model.sha256`
            where one is set.

    Raises:
        UserError: If the bundle cannot be used.
    """
    try:
        folder = path or bundle_folder(settings)
        expected = "" if path else settings.model.sha256
        found = bundles.check(folder, expected, settings.model.public_key)
        model = FleetModel.load(folder, backend="numpy")
        if model.sha256 != found:  # it was replaced meanwhile: what judges must be what was checked
            raise BundleError(
                f"The bundle changed while it was read. Expected sha256={found}. Received: "
                f"sha256={model.sha256} of {str(folder)!r}. Read it again when it is written."
            )
    except BundleError as error:
        raise UserError(str(error)) from error
    chosen = settings.alerts.model_fields_set
    return model.configure(
        budget_per_week=settings.alerts.budget_per_week if "budget" in chosen else None,
        evidence_rows=settings.alerts.evidence_rows if "evidence_rows" in chosen else None,
        refractory_rows=settings.alerts.refractory_rows,
        warmup_score=settings.model.warmup_rows,
        warmup_alarm=max(settings.model.alarm_warmup_rows, settings.model.warmup_rows),
        max_gap=float(settings.window.max_gap),
        anomaly_severity=settings.alerts.anomaly_severity,
    )


def bundle_folder(settings: Settings) -> Path:
    """Folder of the bundle of `model.path`, fetched first where that is an address.

    Raises:
        UserError: If it cannot be had.
        BundleError: If what came is no bundle.
    """
    at = settings.model.path
    if isinstance(at, Path):
        return at
    signed = settings.model.public_key is not None
    cache = settings.state.directory / "models"
    return bundles.fetch(at, settings.model.sha256, cache, signed=signed)


def engine_settings(settings: Settings) -> tuple[WindowSpec, Limits]:
    """How samples become rows, and what a partition may send at most."""
    window = settings.window
    spec = WindowSpec(
        mode=window.mode,
        interval_us=round(window.interval_seconds * 1e6),
        lateness_us=round(window.allowed_lateness_seconds * 1e6),
        aggregate=window.aggregate,
        aggregates=tuple(window.aggregates.items()),
    )
    limits = Limits(
        max_keys=settings.state.max_keys,
        future_us=round(settings.input.future_seconds * 1e6),
        stale_intervals=window.stale_intervals,
        ttl_us=round(settings.state.ttl_seconds * 1e6),
    )
    return spec, limits


def make_engine(
    settings: Settings, model: FleetModel, spill: Callable[[], Spill] | None = None
) -> Engine:
    """An engine with no partitions yet.

    Args:
        settings: Sections `window`, `state` and `input`.
        model: The model.
        spill: Makes a place for the rows of a partition that memory does not hold.
    """
    return Engine(model, *engine_settings(settings), spill)
