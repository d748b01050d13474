"""The service put together: settings and bundle to codec, engine, worker, metrics and health."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from typing import Any

from ember_core.fleet import FleetModel
from stream.codecs import make_codec
from stream.configure import load_model, make_engine
from stream.engine import Engine
from stream.kafka import SpillFiles, WorkerConfig
from stream.kafka.worker import Worker
from stream.observe import (
    Health,
    HttpServer,
    Metrics,
    Observer,
    Traces,
    configure_logs,
    make_traces,
)
from stream.settings import Settings
from stream.version import version


class Application:
    """One worker of the service.

    Args:
        settings: All of them.

    Raises:
        UserError: If the bundle or a setting cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.model: FleetModel = load_model(settings)
        spill = None
        if settings.state.max_disk_bytes:
            spill = SpillFiles(settings.state.directory / "spill", settings.state.max_disk_bytes)
        self.engine: Engine = make_engine(settings, self.model, spill)
        self.metrics = Metrics(
            settings.input.topics,
            version=version(),
            model=f"{self.model.name} {self.model.version}".strip(),
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
        self.worker = Worker(
            self.config,
            make_codec(settings.input.codec, self.model.channels, **settings.input.codec_options()),
            self.engine,
            Observer(self.metrics, self.health, self.traces),
        )
        self.metrics.watch(
            keys=lambda: self.engine.active_keys,
            firing=lambda: self.engine.flagged("firing"),
            stale=lambda: self.engine.flagged("stale"),
            state_bytes=lambda: self.engine.active_keys * self.engine.row_bytes,
            in_flight=lambda: self.worker.events_in_flight,
            moved=lambda: self.engine.moved,
            max_keys=settings.state.max_keys,
        )
        self.http = HttpServer(
            self.metrics,
            self.health,
            info=self.info,
            host=settings.http.host,
            port=settings.http.port,
            token=settings.http.token.get_secret_value(),
        )

    def info(self) -> Mapping[str, Any]:
        """What `/info` shows."""
        return {
            "version": version(),
            "group": self.config.group,
            "topics": list(self.config.topics),
            "guarantee": self.config.guarantee,
            "model": {
                "name": self.model.name,
                "version": self.model.version,
                "sha256": self.model.sha256,
                "channels": list(self.model.channels),
            },
            "active_keys": self.engine.active_keys,
            "moved_rows": self.engine.moved._asdict(),
            "row_bytes": self.engine.row_bytes,
        }

    async def serve(self) -> None:
        """Work until SIGTERM or SIGINT, or until `worker.stop`.

        Raises:
            UserError: If the worker cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.worker.stop)
        await self.http.start()
        try:
            await self.worker.run()
        finally:
            await self.http.stop()
            if self.traces is not None:
                await asyncio.to_thread(self.traces.close)


def run(settings: Settings) -> None:
    """Run one worker in this process until a signal.

    Args:
        settings: All of them.

    Raises:
        UserError: If it cannot start.
    """
    log = settings.log
    configure_logs(level=log.level, format=log.format, repeat_seconds=log.repeat_seconds)
    application = Application(settings)
    asyncio.run(application.serve())
