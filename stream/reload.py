"""Reload of settings and model bundle in a running worker.

A reload has the effect of a restart with the same files. The new model or thresholds take effect at
one input offset per partition. The meta row holds this offset before the first record after it is
scored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from ember_core.pipeline import FleetModel
from stream.engine import TP, Profiles, check_candidate, same_profiles, version_of
from stream.kafka.model_topic.source import UnreadableError
from stream.settings import Settings

from .configure import load_model, load_models, models_of
from .errors import UserError

_log = structlog.stdlib.get_logger("ember")

_HOT = frozenset(
    {
        *("model.path", "model.sha256", "model.public_key", "model.shadow"),
        *("model.profiles", "model.shadow_profile"),
        *("model.warmup_rows", "model.alarm_warmup_rows", "window.max_gap"),
        *("alerts.anomaly_severity", "alerts.budget", "alerts.evidence_rows"),
        "alerts.refractory_rows",
    }
)
"""Settings that a reload applies; all others need a restart."""


@dataclass(frozen=True)
class Reloaded:
    """Result of a reload.

    Attributes:
        result: `applied`, `unchanged`, or `refused`: the worker continues as before.
        detail: Sentence for people.
        offsets: First offset under the new model or thresholds, by `topic-partition`.
        needs_restart: Settings that changed and need a restart.
        again: Whether a later attempt may succeed although nothing changes.
    """

    result: Literal["applied", "unchanged", "refused"]
    detail: str
    offsets: dict[str, int] = field(default_factory=dict)
    needs_restart: tuple[str, ...] = ()
    again: bool = False

    def body(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "result": self.result,
            "detail": self.detail,
            "offsets": self.offsets,
            "needs_restart": list(self.needs_restart),
        }


class Reloader:
    """Reloader of settings and bundle; one reload runs at a time.

    Args:
        settings: Settings that the worker was started with.
        model: Model in use, or those of all profiles.
        apply: Function that switches to a model; returns its first offset, by partition.
        shadow: Function that sets the candidate model, for a profile; None removes it.
        on_result: Callback with every result, for a metric.
        load: Function that loads the model of the settings. Default: `load_models` in a thread.
    """

    def __init__(
        self,
        settings: Settings,
        model: FleetModel | Profiles,
        apply: Callable[[FleetModel | Profiles], Awaitable[dict[TP, int]]],
        shadow: Callable[[FleetModel | None, str], None] = lambda _candidate, _profile: None,
        on_result: Callable[[str], None] = lambda _: None,
        load: Callable[[Settings], Awaitable[FleetModel | Profiles]] | None = None,
    ) -> None:
        self._started_with = settings
        self.settings = settings
        self.model = model
        self._apply = apply
        self._shadow = shadow
        self._on_result = on_result
        self._load = load or (lambda settings: asyncio.to_thread(load_models, settings))
        self._lock = asyncio.Lock()

    async def reload(self) -> Reloaded:
        """Read settings and bundle again and apply them; an error leaves everything as it was."""
        async with self._lock:
            try:
                outcome = await self._reload()
            except UserError as error:
                again = isinstance(error, UnreadableError)
                outcome = Reloaded("refused", error.message, again=again)
        log = _log.error if outcome.result == "refused" else _log.info
        log("reload", **outcome.body())
        self._on_result(outcome.result)
        return outcome

    async def _reload(self) -> Reloaded:
        settings = await asyncio.to_thread(self.settings.reread)
        if settings.model_topics != self._started_with.model_topics:
            raise UserError(
                "The model comes by another way now, which needs a restart. Expected "
                f"model.topic={self._started_with.model.topic!r}. Received: "
                f"model.topic={settings.model.topic!r}. Restart the workers."
            )
        model = await self._load(settings)
        if not same_profiles(self.model, model):
            raise UserError(
                "The patterns of `model.profiles` changed, so that keys would go to other models. "
                f"Expected {_patterns(self.model)}. Received: model.profiles of "
                f"{_patterns(model)}. Restart the workers."
            )
        candidate = await asyncio.to_thread(load_shadow, settings)
        # All checks come before the first change, so that a refused reload changes nothing.
        if candidate is not None:
            try:
                check_candidate(candidate, compared_model(settings, model).sources)
            except ValueError as error:
                raise UserError(str(error)) from None
        needs_restart = tuple(
            name for name in changed(self._started_with, settings) if name not in _HOT
        )
        new, old = version_of(model), version_of(self.model)
        former, offsets = self.model, dict[TP, int]()
        if new != old:
            offsets = await self._apply(model)
            self.model = model
        self._shadow(candidate, settings.model.shadow_profile)
        self.settings = settings
        if new == old:
            detail = "Model and thresholds have not changed."
            return Reloaded("unchanged", detail, {}, needs_restart)
        return Reloaded(
            "applied",
            f"From these offsets on {_changes(former, model)} scores.",
            {f"{topic}-{number}": offset for (topic, number), offset in sorted(offsets.items())},
            needs_restart,
        )


def _patterns(models: FleetModel | Profiles) -> list[str]:
    return list(models.patterns) if isinstance(models, Profiles) else []


def _changes(former: FleetModel | Profiles, models: FleetModel | Profiles) -> str:
    """Return the changes, with the name and digest of each model that did."""
    changes = []
    for (pattern, old), new in zip(
        models_of(former).items(), models_of(models).values(), strict=True
    ):
        if version_of(old) == version_of(new):
            continue
        subject = "a model" if new.sha256 != old.sha256 else "thresholds"
        name = f"{new.name} {new.version}".strip()
        profile = f", for {pattern}" if pattern else ""
        changes.append(f"{subject} of {name} ({new.sha256[:12]}{profile})")
    return "; ".join(changes)


def load_shadow(settings: Settings) -> FleetModel | None:
    """Load the candidate of the settings, with the same thresholds; None without a candidate.

    Raises:
        UserError: If the bundle cannot be used.
    """
    if settings.model.shadow is None:
        return None
    return load_model(settings, settings.model.shadow)


def compared_model(settings: Settings, models: FleetModel | Profiles) -> FleetModel:
    """Return the model that a candidate of the settings is compared with.

    Raises:
        ValueError: If there is no model for the keys of the candidate.
    """
    if isinstance(models, Profiles):
        return models.models[models.number(settings.model.shadow_profile)]
    return models


def changed(previous: Settings, current: Settings) -> list[str]:
    """Return the names of the settings that differ, as `section.key`."""
    names = []
    for section in type(previous).model_fields:
        old, new = getattr(previous, section), getattr(current, section)
        names += [
            f"{section}.{key}"
            for key in type(old).model_fields
            if getattr(old, key) != getattr(new, key)
        ]
    return names
