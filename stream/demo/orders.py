"""Orders of the console's buttons: faults to inject, and the kill of the worker.

Endpoints run in threads of the web server, the demo in its main thread. An order waits in a queue
until the demo takes it.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

import msgspec

_SECONDS: Final = 180.0

Order = Callable[[], Any]


class Orders:
    """Queue of orders, each with the future of its result."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Order, Future[Any]]] = queue.Queue()

    def carry_out(self) -> None:
        """Carry out the orders that wait, in the demo's thread."""
        while True:
            try:
                order, future = self._queue.get_nowait()
            except queue.Empty:
                return
            try:
                future.set_result(order())
            except Exception as error:  # noqa: BLE001  # raised again by the one who asked
                future.set_exception(error)

    def ask(self, order: Order) -> Any:
        """Wait in another thread until an order is carried out, and return its result."""
        future: Future[Any] = Future()
        self._queue.put((order, future))
        return future.result(_SECONDS)


class FaultAnswer(msgspec.Struct):
    """Fault that is injected from the next row on."""

    kind: str
    key: str
    channel: str
    rows: int


class RecoveryAnswer(msgspec.Struct):
    """Recovery of a worker that was killed.

    `digest` is that of all rows of the state, `expected` that of a replay by an engine that was
    never killed. It has read `replayed` records: all, or those after a state from before the kill
    where the broker has dropped the first ones.
    """

    killed_pid: int
    pid: int
    seconds: float
    keys: int
    records: int
    replayed: int
    digest: str
    expected: str | None
    equal: bool | None
