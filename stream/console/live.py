"""Server-sent events: triggers, incidents and changes of documents as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from stream.correlation.body import IncidentBody

from . import event_views, views
from .answers import ErrorAnswer
from .console import Console
from .endpoint import as_json
from .numbers import rounded
from .store import Episode

_MOST_CLIENTS: Final = 200
_MOST_WAITING: Final = 1_000
"""Messages that wait for a slow client; with more it is cut off, and asks again."""
_ROWS_SECONDS: Final = 1.0
_MOST_SEVERE: Final = 50
_LEAST_SEVERITY: Final = 2.0
_HISTORY_US: Final = 300_000_000
"""Age of the oldest event that is told: the hours that are read at the start are no news."""


class Live:
    """Hub of the clients that listen.

    Args:
        console: The console.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._clients = set[asyncio.Queue[bytes | None]]()
        self._loop: asyncio.AbstractEventLoop | None = None
        console.store.listen(self._on_change)

    async def stream(self, request: Request) -> Response:
        """Answer with events until the client or the console goes."""
        if len(self._clients) >= _MOST_CLIENTS:
            return as_json(ErrorAnswer("Too many pages listen already. Close some of them."), 503)
        self._loop = asyncio.get_running_loop()
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(
            self._events(request), media_type="text/event-stream", headers=headers
        )

    def step(self, phase: str, share: float) -> None:
        """Tell all clients of the progress of a replay, from any thread."""
        self._send(_message("replay", {"phase": phase, "share": round(share, 3)}))

    async def _events(self, request: Request) -> AsyncIterator[bytes]:
        client: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_WAITING + 1)
        self._clients.add(client)
        try:
            yield b"retry: 2000\n\n"
            yield _message("rows", await asyncio.to_thread(self._rows))
            while not (self._console.is_stopping() or await request.is_disconnected()):
                try:
                    async with asyncio.timeout(_ROWS_SECONDS):
                        message = await client.get()
                except TimeoutError:
                    message = _message("rows", await asyncio.to_thread(self._rows))
                if message is None:
                    return
                yield message
        finally:
            self._clients.discard(client)

    def _rows(self) -> dict[str, Any]:
        """Return the newest state of the fleet."""
        with self._console.store.locked() as store:
            table = store.table
            severity = np.nan_to_num(table.severity[: len(table)], nan=0.0)
            order = np.argsort(-severity, kind="stable")[:_MOST_SEVERE]
            severe = [
                {"key": table.texts[n], "severity": rounded(severity[n])}
                for n in order.tolist()
                if severity[n] >= _LEAST_SEVERITY
            ]
            firing = int(np.count_nonzero(views.firing_flags(store)))
            return {
                "last_us": store.last_us,
                "firing": firing,
                "keys": len(table),
                "severe": severe,
                "reading": self._console.reading.phase,
                "trouble": self._console.reading.trouble,
            }

    def _on_change(self, kind: str, subject: Episode | IncidentBody | None) -> None:
        """Tell all clients, from the thread that reads."""
        if self._loop is None or not self._clients:
            return
        answer: Any = {}
        with self._console.store.locked() as store:
            oldest_us = self._console.now_us() - _HISTORY_US
            if isinstance(subject, Episode):
                if (subject.ends_us or oldest_us) < oldest_us:
                    return
                answer = event_views.episode_answer(store, subject)
            elif subject is not None:
                answer = event_views.incident_answer(subject)
        self._send(_message(kind, answer))

    def _send(self, message: bytes) -> None:
        if self._loop is not None:
            for client in list(self._clients):
                self._loop.call_soon_threadsafe(_put, client, message)


def _put(client: asyncio.Queue[bytes | None], message: bytes | None) -> None:
    if message is not None and client.qsize() >= _MOST_WAITING:
        message = None  # cut off: it asks for all of it again
    if not client.full():
        client.put_nowait(message)


def _message(kind: str, answer: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(answer))
