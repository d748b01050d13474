"""Process of `ember remote-write`: Kafka in a thread, metrics and health beside it."""

from __future__ import annotations

import time

from stream.bridge import RESULTS, run_process
from stream.observe import BridgeHealth, RemoteWriteMetrics
from stream.scores import require_arrow
from stream.settings import Settings

from ._protocol import encode
from ._sender import OUTCOMES
from ._writer import READ, RemoteWriter


def serve(settings: Settings) -> None:
    """Write series until SIGTERM or SIGINT.

    Args:
        settings: Settings of the service.

    Raises:
        UserError: If the process cannot start, or must not go on.
    """
    # A missing package is no surprise of the first record.
    require_arrow()
    encode((), lambda _: {})
    metrics = RemoteWriteMetrics(READ, OUTCOMES, RESULTS)
    health = BridgeHealth(
        time.monotonic(), live_seconds=settings.http.live_seconds, accepts="accepts samples"
    )
    writer = RemoteWriter(settings, metrics, health)
    port = settings.remote_write.port
    run_process(writer, settings, metrics, health, "remote-write", port)
