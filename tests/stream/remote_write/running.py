"""A writer that runs in a thread, and what its metrics say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from stream.observe import BridgeHealth, RemoteWriteMetrics
from stream.remote_write import RemoteWriter
from stream.settings import Settings


@contextmanager
def writing(
    settings: Settings, metrics: RemoteWriteMetrics, health: BridgeHealth
) -> Iterator[None]:
    """Run a writer while the block does."""
    stop = threading.Event()
    writer = RemoteWriter(settings, metrics, health)
    thread = threading.Thread(target=writer.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def value_of(metrics: RemoteWriteMetrics, name: str) -> float:
    """Return the value of the one metric whose line begins so."""
    (line,) = (x for x in metrics.render().decode().splitlines() if x.startswith(name))
    return float(line.rpartition(" ")[2])
