"""Process of the bridge: Kafka in a thread, metrics and health in the event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

from stream.observe import BridgeHealth, BridgeMetrics, HttpServer, configure_logs
from stream.settings import Settings

from ._alerts import OUTCOMES
from ._bridge import Bridge
from ._http import RESULTS
from ._receivers import ReceiverName


def serve(name: ReceiverName, settings: Settings) -> None:
    """Send triggers to a receiver until SIGTERM or SIGINT.

    Args:
        name: Name of the receiver.
        settings: Settings of the service.

    Raises:
        UserError: If the bridge cannot start, or must not go on.
    """
    log = settings.log
    configure_logs(level=log.level, format=log.format, repeat_seconds=log.repeat_seconds)
    asyncio.run(_serve(name, settings))


async def _serve(name: ReceiverName, settings: Settings) -> None:
    metrics = BridgeMetrics(OUTCOMES, RESULTS)
    health = BridgeHealth(time.monotonic(), live_seconds=settings.http.live_seconds)
    bridge = Bridge(name, settings, metrics, health)
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    http = HttpServer(
        metrics,
        health,
        info=lambda: {"group": bridge.group, "receiver": name},
        host=settings.http.host,
        port=getattr(settings, name).port,
        token=settings.http.token.get_secret_value(),
    )
    await http.start()
    try:
        # librdkafka blocks: the event loop stays free for /livez and /metrics.
        await asyncio.to_thread(bridge.run, stop)
    finally:
        await http.stop()
