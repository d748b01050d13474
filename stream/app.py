"""Service: settings and bundle become codec, engine, worker, metrics and health."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from ember_core.pipeline import FleetModel, Pipeline
from stream.kafka.config import WorkerConfig
from stream.kafka.model_topic.source import BundleSource
from stream.kafka.recovery.spill_files import SpillFiles
from stream.kafka.worker import Worker

from .channel_rules import contradictions
from .codecs import Codec, make_codec
from .compiling import BackgroundCompiler, pipelines_of
from .configure import (
    bundle_source,
    load_models,
    make_engine,
    models_of,
    other_window,
)
from .engine import OTHER_KEYS, TP, AnyEngine, ModelVersion, ProfiledEngine, Profiles, version_of
from .errors import UserError
from .model_following import follow, start_learning, stop_learning, wait_for_bundles
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
        sources: Sources of the bundles of model topics, by the pattern of their profile; without
            any the bundles are in folders.
        folders: Folders of the first bundles of these topics.

    Raises:
        UserError: If the bundle or a setting cannot be used.
    """

    _pair: tuple[ModelVersion, ModelVersion] | None = None
    _candidate: FleetModel | None = None
    _compiler: BackgroundCompiler | None = None

    def __init__(
        self,
        settings: Settings,
        sources: Mapping[str, BundleSource] | None = None,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        self.settings = settings
        self._sources = sources or {}
        self.model: FleetModel | Profiles = load_models(settings, folders=folders)
        spill: SpillFiles | None = None
        if settings.state.max_disk_bytes:
            spill = SpillFiles(settings.state.directory / "spill", settings.state.max_disk_bytes)
        self.engine: AnyEngine = make_engine(settings, self.model, spill)
        self._tell_contradictions()
        self._compare_with(load_shadow(settings), settings.model.shadow_profile)
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
            state_bytes=lambda: self.engine.state_bytes,
            profiles=self._keys_by_profile,
            disk_bytes=lambda: 0 if spill is None else spill.used(),
            in_flight=lambda: self.worker.events_in_flight,
            moved=lambda: self.engine.moved,
            max_keys=settings.state.max_keys,
        )
        self.metrics.watch_models(self._models_by_kind)
        self.reloader = Reloader(
            settings,
            self.model,
            self._switch_model,
            self._compare_with,
            self.metrics.reloaded,
            self._load_newest if self._sources else None,
        )
        for source in self._sources.values():
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
        for pattern, model in models_of(self.model).items():
            profile = {"profile": pattern} if pattern else {}
            for detail in (
                contradictions(model.recipe, model.channels, self.settings.channels.rules),
                other_window(model.report.get("window"), self.settings),
            ):
                if detail:
                    _log.warning("rows_differ", detail=detail, **profile)

    def _keys_by_profile(self) -> Mapping[str, int]:
        """Return the keys in memory by profile."""
        engine = self.engine
        if isinstance(engine, ProfiledEngine):
            return engine.keys_by_profile()
        return {OTHER_KEYS: engine.active_keys}

    def _codec(self, model: FleetModel | Profiles) -> Codec:
        section = self.settings.input
        folder = self.settings.state.directory / "schemas"
        options = section.codec_options()
        return make_codec(section.codec, model.sources, **options, schema_folder=folder)

    async def _load_newest(self, settings: Settings) -> FleetModel | Profiles:
        """Load the newest bundles of the model topics."""
        folders = {}
        for pattern, source in self._sources.items():
            await asyncio.to_thread(source.require, settings.model.public_key)
            bundle = await source.newest()
            if bundle is None:
                raise UserError(
                    f"There is no bundle any more: {source.missing}. Expected one that is whole. "
                    "Publish one with `ember model deploy`."
                )
            folders[pattern] = bundle.folder
        return await asyncio.to_thread(load_models, settings, None, folders)

    async def _switch_model(self, model: FleetModel | Profiles) -> dict[TP, int]:
        offsets = await self.worker.switch_model(model, self._codec(model))
        self.model = model
        if self._compiler is not None:
            self._compiler.begin(model)
        self.metrics.model(_named(model))
        self.observer.use_model_keys(model.keys)
        return offsets

    def _compare_with(self, candidate: FleetModel | None, profile: str) -> None:
        """Begin a comparison, unless it is of the two that are compared already.

        Args:
            candidate: The candidate; None ends the comparison.
            profile: Pattern of the keys that it is for; empty: all, or those of no profile.
        """
        live = models_of(self.model).get(profile)
        if candidate is None or live is None:
            pair = None
        else:
            pair = version_of(live), version_of(candidate)
        if pair == self._pair and (pair is None or self.engine.comparison is not None):
            return
        try:
            if isinstance(self.engine, ProfiledEngine):
                self.engine.shadow_by(candidate, profile)
            else:
                self.engine.shadow_by(candidate)
        except ValueError as error:
            raise UserError(str(error)) from None
        self._pair, self._candidate = pair, candidate if pair is not None else None
        if self._candidate is not None and self._compiler is not None:
            self._compiler.begin(self._candidate)

    def _pipelines(self) -> list[Pipeline]:
        """Return the pipelines that score, that of a candidate included."""
        candidates = [] if self._candidate is None else [self._candidate]
        return [p for model in (self.model, *candidates) for p in pipelines_of(model)]

    def _models_by_kind(self) -> tuple[int, int]:
        """Return the number of models that score by compiled stages, and by plain ones."""
        compiled = [pipeline.is_compiled for pipeline in self._pipelines()]
        return sum(compiled), len(compiled) - sum(compiled)

    def _stages(self) -> dict[str, Any]:
        """Tell by which form of their stages the models score, and why."""
        compiled, plain = self._models_by_kind()
        compiler = self._compiler
        is_busy = compiler is not None and compiler.is_busy
        return {
            "compiled": compiled,
            "plain": plain,
            "compiling": is_busy,
            "detail": "" if compiler is None else compiler.detail,
        }

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
            **self._about_models(),
            "stages": self._stages(),
            "partitions": {f"{t}-{n}": self._about((t, n)) for t, n in self.engine.attached()},
            "active_keys": self.engine.active_keys,
            "moved_rows": self.engine.moved._asdict(),
            "row_bytes": self.engine.row_bytes,
        }

    def _about_models(self) -> dict[str, Any]:
        """Describe the model, or each of the profiles, in their order."""
        about = {
            pattern or OTHER_KEYS: {
                "name": model.name,
                "version": model.version,
                "sha256": model.sha256,
                "channels": list(model.channels),
                "thresholds": version_of(model).thresholds,
            }
            for pattern, model in models_of(self.model).items()
        }
        return (
            {"profiles": about}
            if isinstance(self.model, Profiles)
            else {"model": about[OTHER_KEYS]}
        )

    def _about(self, tp: TP) -> dict[str, Any]:
        """Describe a partition: its progress, its warm-up, and the models by their first offset."""
        meta = self.engine.meta(tp)
        return {
            "absorbed": meta.absorbed,
            "warming_up": meta.absorbed + 1 < meta.events_from,
            "events_from": max(meta.events_from, meta.first_offset),
            "judges": [
                {"from": epoch.offset, "model": epoch.version.model, **_profiles(epoch.version)}
                for epoch in meta.epochs
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
        following = [
            loop.create_task(follow(source, self.reloader, pattern))
            for pattern, source in self._sources.items()
        ]
        learners = start_learning(self.settings, self.metrics, self.health)
        self._compiler = BackgroundCompiler(
            self.settings.state.directory / "compiled",
            loop.call_soon_threadsafe,  # a step is one turn of the loop
            is_wanted=self.settings.model.compiled != "off",
        )
        candidates = [] if self._candidate is None else [self._candidate]
        self._compiler.begin(self.model, *candidates)
        try:
            await self.worker.run()
        finally:
            self._compiler.close()
            for task in following:
                task.cancel()
            await stop_learning(learners)
            await self.http.stop()
            if self.traces is not None:
                await asyncio.to_thread(self.traces.close)


def _named(models: FleetModel | Profiles) -> str:
    names = [f"{model.name} {model.version}".strip() for model in models_of(models).values()]
    return ", ".join(dict.fromkeys(names))


def _profiles(version: ModelVersion) -> dict[str, dict[str, str]]:
    if version.profiles is msgspec.UNSET:
        return {}
    return {"profiles": {profile.pattern: profile.model for profile in version.profiles}}


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
    sources: dict[str, BundleSource] = {}
    folders: dict[str, Path] = {}
    if settings.model_topic:
        views = settings.by_profile.items()
        sources = {pattern: bundle_source(view) for pattern, view in views}
        bundles = asyncio.run(wait_for_bundles(settings, sources))
        if bundles is None:
            return  # it was asked to stop
        folders = {pattern: bundle.folder for pattern, bundle in bundles.items()}
    application = Application(settings, sources, folders)
    # Objects made so far stay: no collection has to look at them again. Later ones are records,
    # which die young without a cycle.
    gc.collect()
    gc.freeze()
    asyncio.run(application.serve())
