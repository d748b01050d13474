"""Service: settings and bundle become codec, engine, worker, metrics and health."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from ember_core.pipeline import FleetModel
from stream.kafka.config import WorkerConfig
from stream.kafka.model_topic.source import BundleSource
from stream.kafka.recovery.spill_files import SpillFiles
from stream.kafka.worker import Worker

from .channel_rules import contradictions
from .codecs import Codec, make_codec
from .configure import bundle_source, load_model, make_engine, other_window
from .engine import TP, Engine, ModelVersion, model_version_of
from .errors import UserError
from .model_following import follow, start_learning, wait_for_bundle
from .observe import (
    Health,
    HttpServer,
    Metrics,
    ServiceObserver,
    Traces,
    configure_logs,
    make_traces,
)
from .reload import Reloader, load_shadow
from .settings import Settings
from .version import version

_log = structlog.stdlib.get_logger("ember")


class Application:
    """One worker of the service.

    Args:
        settings: Settings of the service.
        source: Source of the bundles of the model topic; None: the bundle is that of `model.path`.
        folder: Folder of the first bundle of that topic.

    Raises:
        UserError: If the bundle or a setting cannot be used.
    """

    _pair: tuple[ModelVersion, ModelVersion] | None = None

    def __init__(
        self,
        settings: Settings,
        source: BundleSource | None = None,
        folder: Path | None = None,
    ) -> None:
        self.settings = settings
        self._source = source
        self.model: FleetModel = load_model(settings, folder)
        spill: SpillFiles | None = None
        if settings.state.max_disk_bytes:
            spill = SpillFiles(settings.state.directory / "spill", settings.state.max_disk_bytes)
        self.engine: Engine = make_engine(settings, self.model, spill)
        self._tell_contradictions()
        self._compare_with(load_shadow(settings))
        self.metrics = Metrics(
            settings.engine_topics,
            rekeyed=settings.input.topics if settings.input.rekey else (),
            version=version(),
            model=_named(self.model),
            channels=self.model.channels,
            threshold=settings.alerts.anomaly_severity,
        )
        self.health = Health(
            time.monotonic(),
            live_seconds=settings.http.live_seconds,
            stalled_seconds=settings.http.stalled_seconds,
        )
        self.config = WorkerConfig.from_settings(settings)
        self.traces: Traces | None = None
        if settings.traces.enabled:
            self.traces = make_traces(settings.kafka.group, version())
        self.observer = ServiceObserver(self.metrics, self.health, self.traces)
        self.observer.use_model_keys(self.model.keys)
        self.worker = Worker(
            self.config,
            self._codec(self.model),
            self.engine,
            self.observer,
        )
        self.metrics.watch(
            keys=lambda: self.engine.active_keys,
            missing=self.engine.missing_channels,
            flagged=self.engine.flagged,
            state_bytes=lambda: self.engine.active_keys * self.engine.row_bytes,
            disk_bytes=lambda: 0 if spill is None else spill.used(),
            in_flight=lambda: self.worker.events_in_flight,
            moved=lambda: self.engine.moved,
            max_keys=settings.state.max_keys,
        )
        self.reloader = Reloader(
            settings,
            self.model,
            self._switch_model,
            self._compare_with,
            self.metrics.reloaded,
            None if source is None else self._load_newest,
        )
        if source is not None:
            source.report_ignored(self.metrics.bundle_ignored)
        self.http = HttpServer(
            self.metrics,
            self.health,
            info=self.info,
            shadow=self.shadow,
            reload=self._reload,
            host=settings.http.host,
            port=settings.http.port,
            token=settings.http.token.get_secret_value(),
        )

    def _tell_contradictions(self) -> None:
        """Log one sentence where the settings want other rows than the model was trained on."""
        for detail in (
            contradictions(self.model.recipe, self.model.channels, self.settings.channels.rules),
            other_window(self.model.report.get("window"), self.settings),
        ):
            if detail:
                _log.warning("rows_differ", detail=detail)

    def _codec(self, model: FleetModel) -> Codec:
        section = self.settings.input
        folder = self.settings.state.directory / "schemas"
        options = section.codec_options()
        return make_codec(section.codec, model.sources, **options, schema_folder=folder)

    async def _load_newest(self, settings: Settings) -> FleetModel:
        """Load the newest bundle of the model topic."""
        assert self._source is not None
        await asyncio.to_thread(self._source.require, settings.model.public_key)
        bundle = await self._source.newest()
        if bundle is None:
            raise UserError(
                "The model topic has no bundle any more. Expected one that is whole. Received: "
                f"topic={settings.model_topic!r}. Publish one with `ember model deploy`."
            )
        return await asyncio.to_thread(load_model, settings, bundle.folder)

    async def _switch_model(self, model: FleetModel) -> dict[TP, int]:
        offsets = await self.worker.switch_model(model, self._codec(model))
        self.model = model
        self.metrics.model(_named(model))
        self.observer.use_model_keys(model.keys)
        return offsets

    def _compare_with(self, candidate: FleetModel | None) -> None:
        """Begin a comparison, unless it is of the two that are compared already."""
        pair = (
            None
            if candidate is None
            else (model_version_of(self.model), model_version_of(candidate))
        )
        if pair == self._pair and (pair is None or self.engine.comparison is not None):
            return
        try:
            self.engine.shadow_by(candidate)
        except ValueError as error:
            raise UserError(str(error)) from None
        self._pair = pair

    async def _reload(self) -> tuple[bool, Mapping[str, Any]]:
        report = await self.reloader.reload()
        return report.result != "refused", report.body()

    def shadow(self) -> Mapping[str, Any] | None:
        """Return the body of `/shadow`."""
        if self.engine.comparison is None or self._pair is None:
            return None
        live, candidate = self._pair
        return {
            "live": live.model,
            "candidate": candidate.model,
            **self.engine.comparison.body(),
        }

    def info(self) -> Mapping[str, Any]:
        """Return the body of `/info`."""
        return {
            "version": version(),
            "group": self.config.group,
            "topics": list(self.config.topics),
            "rekeyed_topics": list(self.config.rekeyed),
            "guarantee": self.config.guarantee,
            "model": {
                "name": self.model.name,
                "version": self.model.version,
                "sha256": self.model.sha256,
                "channels": list(self.model.channels),
                "thresholds": self.engine.model_version.thresholds,
            },
            "partitions": {f"{t}-{n}": self._about((t, n)) for t, n in self.engine.attached()},
            "active_keys": self.engine.active_keys,
            "moved_rows": self.engine.moved._asdict(),
            "row_bytes": self.engine.row_bytes,
        }

    def _about(self, tp: TP) -> dict[str, Any]:
        """Describe a partition: its progress, its warm-up, and the models by their first offset."""
        meta = self.engine.meta(tp)
        return {
            "absorbed": meta.absorbed,
            "warming_up": meta.absorbed + 1 < meta.events_from,
            "events_from": max(meta.events_from, meta.first_offset),
            "judges": [
                {"from": epoch.offset, "model": epoch.version.model} for epoch in meta.epochs
            ],
            "control": [
                {"from": epoch.offset, "digest": epoch.digest} for epoch in meta.control_epochs
            ],
        }

    async def serve(self) -> None:
        """Work until SIGTERM or SIGINT, or until `worker.stop`.

        Raises:
            UserError: If the worker cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.worker.stop)
        reloads = set[asyncio.Task[Any]]()

        def hang_up() -> None:
            task = loop.create_task(self.reloader.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, hang_up)
        await self.http.start()
        following: asyncio.Task[None] | None = None
        if self._source is not None:
            following = loop.create_task(follow(self._source, self.reloader))
        learner = start_learning(self.settings, self.metrics, self.health)
        try:
            await self.worker.run()
        finally:
            if following is not None:
                following.cancel()
            if learner is not None:
                await learner.stop()
            await self.http.stop()
            if self.traces is not None:
                await asyncio.to_thread(self.traces.close)


def _named(model: FleetModel) -> str:
    return f"{model.name} {model.version}".strip()


def run(settings: Settings) -> None:
    """Run one worker in this process until a signal.

    Args:
        settings: Settings of the service.

    Raises:
        UserError: If it cannot start.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the worker listens to it
    log = settings.log
    configure_logs(level=log.level, format=log.format, repeat_seconds=log.repeat_seconds)
    source: BundleSource | None = None
    folder: Path | None = None
    if settings.model_topic:
        source = bundle_source(settings)
        bundle = asyncio.run(wait_for_bundle(settings, source))
        if bundle is None:
            return  # it was asked to stop
        folder = bundle.folder
    application = Application(settings, source, folder)
    # Objects made so far stay: no collection has to look at them again. Later ones are records,
    # which die young without a cycle.
    gc.collect()
    gc.freeze()
    asyncio.run(application.serve())
