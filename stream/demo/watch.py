"""Console beside the demo: its settings, its token and its buttons."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stream.observe import configure_logs
from stream.settings import Settings

from .faults import Kind
from .link import PARTITIONS, TOPIC
from .orders import FaultAnswer, Orders, RecoveryAnswer
from .worker import GROUP

CONSOLE_TOPICS: Final = {
    f"{TOPIC}.scores": PARTITIONS,
    f"{TOPIC}.incidents": 1,
    f"{GROUP}-control": 1,
}
"""Topics beside those of every demo, with their partitions."""
_USER: Final = "demo"
_JOIN_SECONDS: Final = 10.0


def console_sections() -> dict[str, dict[str, object]]:
    """Return the settings of a worker whose rows and documents the console shows."""
    return {
        "output": {"scores": "all"},
        "control": {"enabled": True},
        "incidents": {"port": 0, "key_pattern": "{role}-{number}", "same_labels": ["role"]},
        "http": {"port": _free_port()},
        "console": {"port": 0, "user": _USER, "token": secrets.token_urlsafe(18)},
    }


@contextmanager
def console_beside(
    config: Path,
    orders: Orders,
    inject: Callable[[Kind, str], FaultAnswer],
    kill: Callable[[], RecoveryAnswer],
) -> Iterator[str]:
    """Serve the console in a thread while the block runs, and yield its address with the token.

    Args:
        config: Settings file of the demo.
        orders: Queue of the buttons' orders.
        inject: Function that injects a fault.
        kill: Function that kills the worker, and compares the recovered state.
    """
    # Imported late: a demo without the console does without its extra.
    from stream.console.serve import running

    from .buttons import endpoints

    settings = Settings.load(config)
    log = settings.log
    configure_logs(level=log.level, format=log.format, repeat_seconds=log.repeat_seconds)
    token = settings.console.token.get_secret_value()
    buttons = endpoints(inject, kill, orders)
    with running(settings, buttons, is_demo=True) as server:
        thread = threading.Thread(target=server.run, name="console", daemon=True)
        thread.start()
        try:
            # After the `#`: browsers send that part to nobody.
            yield f"{server.address}#token={token}"
        finally:
            server.stop()
            thread.join(_JOIN_SECONDS)


def _free_port() -> int:
    """Return a port that is free now, at which a restarted worker is found again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
