"""Process of the console: topics and workers in threads, the web application beside them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import structlog

from stream.errors import UserError
from stream.observe import configure_logs
from stream.settings import Settings

if TYPE_CHECKING:
    from .endpoint import Endpoint

log = structlog.stdlib.get_logger("ember")

_MIB: Final = 1 << 20
_STOP_SECONDS: Final = 3
_JOIN_SECONDS: Final = 10.0


def serve(settings: Settings) -> None:
    """Serve pages and API until SIGTERM or SIGINT.

    Args:
        settings: Settings of the service.

    Raises:
        UserError: If it cannot listen, a package is missing, or the broker refuses it.
    """
    section = settings.log
    configure_logs(
        level=section.level, format=section.format, repeat_seconds=section.repeat_seconds
    )
    with running(settings) as server:
        log.info("serving", address=server.address, topics=server.topics)
        server.run()


class Server:
    """Web server of a console, on a socket that listens already.

    Args:
        app: Application.
        listener: Socket.

    Attributes:
        address: Address for a browser.
        topics: Topics that are read.
    """

    def __init__(self, app: Any, listener: socket.socket, topics: Sequence[str]) -> None:
        import uvicorn

        self._listener = listener
        config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,  # the guard reads the address of the proxy itself
            timeout_graceful_shutdown=_STOP_SECONDS,
            limit_concurrency=1_000,
        )
        self._server = uvicorn.Server(config)
        # This process handles its signals itself, and ends with code 0.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]
        host, port = listener.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # to be shown
        self.address = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        self.topics = list(topics)
        self.error: BaseException | None = None

    def stop(self) -> None:
        """End the server, from any thread."""
        self._server.should_exit = True

    @property
    def is_stopping(self) -> bool:
        """True once the server has been asked to end."""
        return self._server.should_exit

    def run(self) -> None:
        """Serve until it is stopped, or a signal comes.

        Raises:
            UserError: If the reading has failed.
        """
        asyncio.run(self._serve())
        if self.error is not None:
            raise self.error

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
        await self._server.serve(sockets=[self._listener])


@contextmanager
def running(
    settings: Settings, more: Sequence[Endpoint] = (), *, is_demo: bool = False
) -> Iterator[Server]:
    """Read topics in threads while the block runs, and yield the server.

    Args:
        settings: Settings of the service.
        more: Endpoints beside those of every console.
        is_demo: True in `ember demo`.

    Raises:
        UserError: If it cannot listen, or a package is missing.
    """
    require_packages()
    from .app import make_app
    from .console import Console, Reading
    from .guard import Guard
    from .replay import Replayer
    from .store import Store
    from .topic_reader import TopicReader, sources_of
    from .topic_writer import TopicWriter
    from .workers import Workers

    section = settings.console
    topics = sorted(sources_of(settings))
    store = Store(section.memory_mib * _MIB, section.hours)
    console = Console(
        settings=settings,
        store=store,
        guard=Guard(section),
        writer=TopicWriter(settings, store) if settings.control_topic else None,
        reading=Reading(),
        workers=Workers(settings),
        replayer=Replayer(section.what_if_seconds),
        is_demo=is_demo,
    )
    listener = _listen(section.host, section.port)
    stop = threading.Event()
    try:
        server = Server(make_app(console, more), listener, topics)
        console.is_stopping = lambda: server.is_stopping
        reader = TopicReader(settings, store, console.reading)
        assert console.workers is not None
        threads = [
            threading.Thread(target=_guarded, args=(run, stop, server), daemon=True)
            for run in (reader.run, console.workers.run)
        ]
        for thread in threads:
            thread.start()
        try:
            yield server
        finally:
            stop.set()
            assert console.replayer is not None
            console.replayer.cancel("The console stops.")
            for thread in threads:
                thread.join(_JOIN_SECONDS)
    finally:
        listener.close()


def _guarded(run: Callable[[threading.Event], None], stop: threading.Event, server: Server) -> None:
    """Run a thread's loop; what it raises ends the server, and is raised there."""
    try:
        run(stop)
    except Exception as error:  # noqa: BLE001  # raised again by the thread that serves
        server.error = error
        server.stop()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(
            f"The console cannot listen. Expected a free address. Received: console.host={host!r}, "
            f"console.port={port} ({reason}). Choose another one (0: any port)."
        ) from None


def missing_packages() -> list[str]:
    """Return the packages of the extra `console` that are not installed."""
    return [name for name in ("pyarrow", "starlette", "uvicorn") if not find_spec(name)]


def require_packages() -> None:
    """Check that the packages of the extra are installed.

    Raises:
        UserError: If one is missing.
    """
    if missing := missing_packages():
        raise UserError(
            "The console needs more packages. Expected the extra `console`. Received: no "
            f"{missing[0]}. Install it with pip install 'ember-anomaly[console]'."
        )
