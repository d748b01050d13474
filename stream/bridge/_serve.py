"""Process of a bridge or of the incidents: Kafka in a thread, metrics and health beside it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import Protocol

from stream.observe import (
    BridgeHealth,
    BridgeMetrics,
    HttpServer,
    IncidentMetrics,
    MetricSet,
    configure_logs,
)
from stream.settings import Settings

from ._alerts import OUTCOMES
from ._bridge import Bridge
from ._http import RESULTS
from ._incidents import Incidents
from ._receivers import ReceiverName


class _Process(Protocol):
    """A loop in a thread of its own."""

    @property
    def group(self) -> str:
        """Its consumer group."""

    def run(self, stop: threading.Event) -> None:
        """Run until an event is set."""


def serve(name: ReceiverName, settings: Settings) -> None:
    """Send alerts to a receiver until SIGTERM or SIGINT.

    Args:
        name: Name of the receiver.
        settings: Settings of the service.

    Raises:
        UserError: If the bridge cannot start, or must not go on.
    """
    metrics = BridgeMetrics(OUTCOMES, RESULTS)
    health = _health(settings)
    bridge = Bridge(name, settings, metrics, health)
    run_process(bridge, settings, metrics, health, name, getattr(settings, name).port)


def serve_incidents(settings: Settings) -> None:
    """Make incidents of triggers until SIGTERM or SIGINT.

    Args:
        settings: Settings of the service.

    Raises:
        UserError: If the process cannot start, or must not go on.
    """
    metrics = IncidentMetrics(OUTCOMES, RESULTS)
    health = _health(settings)
    incidents = Incidents(settings, metrics, health)
    run_process(incidents, settings, metrics, health, "incidents", settings.incidents.port)


def _health(settings: Settings) -> BridgeHealth:
    return BridgeHealth(time.monotonic(), live_seconds=settings.http.live_seconds)


def run_process(
    process: _Process,
    settings: Settings,
    metrics: MetricSet,
    health: BridgeHealth,
    name: str,
    port: int,
) -> None:
    """Run a loop in a thread until SIGTERM or SIGINT, with metrics and health beside it.

    Args:
        process: The loop.
        settings: Settings of the service.
        metrics: Metrics of the process.
        health: Health of the process.
        name: Name of the receiver, as `/info` shows it.
        port: Port of metrics and health.
    """
    log = settings.log
    configure_logs(level=log.level, format=log.format, repeat_seconds=log.repeat_seconds)
    asyncio.run(_serve(process, settings, metrics, health, name, port))


async def _serve(
    process: _Process,
    settings: Settings,
    metrics: MetricSet,
    health: BridgeHealth,
    name: str,
    port: int,
) -> None:
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    http = HttpServer(
        metrics,
        health,
        info=lambda: {"group": process.group, "receiver": name},
        host=settings.http.host,
        port=port,
        token=settings.http.token.get_secret_value(),
    )
    await http.start()
    try:
        # librdkafka blocks: the event loop stays free for /livez and /metrics.
        await asyncio.to_thread(process.run, stop)
    finally:
        await http.stop()
