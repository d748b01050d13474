"""A new model, or new thresholds, in a worker that goes on: settings and bundle read again.

The files are the truth: what a reload brings is what a restart would bring. It takes effect at one
input offset per partition, which is in the meta row before the first record it judges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from ember_core.pipeline import FleetModel

from .configure import load_model
from .engine import TP, check_candidate, model_version_of
from .errors import UserError
from .settings import Settings

_log = structlog.stdlib.get_logger("ember")

_HOT = frozenset(
    {
        *("model.path", "model.sha256", "model.public_key", "model.shadow"),
        *("model.warmup_rows", "model.alarm_warmup_rows", "window.max_gap"),
        *("alerts.anomaly_severity", "alerts.budget", "alerts.evidence_rows"),
        "alerts.refractory_rows",
    }
)
"""Settings a reload applies; every other one waits for a restart."""


@dataclass(frozen=True)
class Reloaded:
    """What a reload came to.

    Attributes:
        result: `refused`: the worker goes on as it was.
        detail: One sentence.
        offsets: First offset the new model or thresholds judge, by `topic-partition`.
        waiting: Settings that changed and need a restart.
    """

    result: Literal["applied", "unchanged", "refused"]
    detail: str
    offsets: dict[str, int] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "result": self.result,
            "detail": self.detail,
            "offsets": self.offsets,
            "needs_restart": list(self.waiting),
        }


class Reloader:
    """Reads settings and bundle again, one reload at a time.

    Args:
        settings: Those the worker was started with.
        model: The model that judges now.
        apply: Lets a model judge; gives the first offset it does, by partition.
        shadow: Takes the candidate of the settings, or None for none.
        told: Called with every result, for a metric.
    """

    def __init__(
        self,
        settings: Settings,
        model: FleetModel,
        apply: Callable[[FleetModel], Awaitable[dict[TP, int]]],
        shadow: Callable[[FleetModel | None], None] = lambda _: None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._started_with = settings
        self.settings = settings
        self.model = model
        self._apply = apply
        self._shadow = shadow
        self._told = told
        self._lock = asyncio.Lock()

    async def reload(self) -> Reloaded:
        """Read everything again and let it judge; what cannot be used changes nothing."""
        async with self._lock:
            try:
                found = await self._reload()
            except UserError as error:
                found = Reloaded("refused", error.message)
        log = _log.error if found.result == "refused" else _log.info
        log("reload", **found.body())
        self._told(found.result)
        return found

    async def _reload(self) -> Reloaded:
        settings = await asyncio.to_thread(self.settings.reread)
        model = await asyncio.to_thread(load_model, settings)
        candidate = await asyncio.to_thread(load_shadow, settings)
        if candidate is not None:  # before anything is applied: what is refused changes nothing
            try:
                check_candidate(candidate, model.channels)
            except ValueError as error:
                raise UserError(str(error)) from None
        waiting = tuple(name for name in changed(self._started_with, settings) if name not in _HOT)
        new, old = model_version_of(model), model_version_of(self.model)
        offsets: dict[TP, int] = {}
        if new != old:
            offsets = await self._apply(model)
            self.model = model
        self._shadow(candidate)
        self.settings = settings
        if new == old:
            return Reloaded("unchanged", "Model and thresholds are what they were.", {}, waiting)
        what = "a model" if new.model != old.model else "thresholds"
        named = f"{model.name} {model.version}".strip()
        return Reloaded(
            "applied",
            f"From these offsets on {what} of {named} ({new.model[:12]}) judges.",
            {f"{topic}-{number}": offset for (topic, number), offset in sorted(offsets.items())},
            waiting,
        )


def load_shadow(settings: Settings) -> FleetModel | None:
    """The candidate of the settings, under the same thresholds; None where there is none.

    Raises:
        UserError: If the bundle cannot be used.
    """
    if settings.model.shadow is None:
        return None
    return load_model(settings, settings.model.shadow)


def changed(before: Settings, after: Settings) -> list[str]:
    """Names of the settings that are not what they were, `section.key`."""
    names = []
    for section in type(before).model_fields:
        old, new = getattr(before, section), getattr(after, section)
        names += [
            f"{section}.{key}"
            for key in type(old).model_fields
            if getattr(old, key) != getattr(new, key)
        ]
    return names
