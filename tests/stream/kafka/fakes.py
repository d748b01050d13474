"""A broker, a group and an engine of a few lines, which write down what was done to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, NoReturn

from stream.kafka.context import Context
from stream.kafka.lifecycle import Lifecycle
from stream.kafka.protocol.ports import FencedError, Membership, Outgoing
from stream.observer import Observer
from stream.types import TP
from tests.worker_config import worker_config

ME = Membership(3, "me", None)


class Boom(Exception):
    """An injected failure."""


class FakeEngine:
    """Per partition a list of dirty rows; the meta row is the position it was told."""

    def __init__(self) -> None:
        self.dirty: dict[TP, dict[bytes, bytes | None]] = {}
        self.metas: dict[TP, Any] = {}

    def touch(self, tp: TP, key: bytes, row: bytes) -> None:
        self.dirty.setdefault(tp, {})[key] = row

    def has_unwritten(self, tp: TP) -> bool:
        return bool(self.dirty.get(tp))

    def take_dirty(self, tp: TP, limit: int | None = None) -> Any:
        rows = self.dirty.pop(tp, {})
        return SimpleNamespace(keys=[*rows, b"meta"], rows=[*rows.values(), b"meta-row"])


class FakeLog:
    """A state log; `fail` names the step that fails, `transactional` whether abort undoes."""

    def __init__(self, journal: list[Any], fail: str = "") -> None:
        self.journal = journal
        self.fail = fail
        self.gate: asyncio.Event | None = None

    async def _step(self, name: str, *more: Any) -> None:
        await asyncio.sleep(0)
        if self.fail == name:
            self.journal.append((name, "failed"))
            raise Boom(name)
        self.journal.append((name, *more))

    async def begin(self) -> None:
        await self._step("begin")

    async def send(self, message: Outgoing) -> Awaitable[Any]:
        async def ack() -> None:
            await self._step("event in transaction", message.value)

        return asyncio.ensure_future(ack())

    async def append(
        self,
        tp: TP,
        keys: Sequence[bytes],
        rows: Sequence[bytes | None],
        last_headers: Any,
        gone_headers: Any,
    ) -> int:
        if self.gate is not None:
            await self.gate.wait()
        await self._step("rows", tp, list(keys), dict(last_headers), dict(gone_headers))
        return 100

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        await self._step("commit", dict(offsets), membership)

    async def abort(self) -> None:
        self.journal.append(("abort",))


class FakeSink:
    """Takes events; acknowledges them when told, or fails."""

    def __init__(self, journal: list[Any], *, fail: bool = False, slow: bool = False) -> None:
        self.journal = journal
        self.fail = fail
        self.release = asyncio.Event()
        if not slow:
            self.release.set()

    async def send(self, message: Outgoing) -> Awaitable[Any]:
        await asyncio.sleep(0)
        self.journal.append(("event sent", message.value))
        return asyncio.ensure_future(self._ack(message))

    async def _ack(self, message: Outgoing) -> None:
        await self.release.wait()
        if self.fail:
            raise Boom("event")
        self.journal.append(("event acknowledged", message.value))


class FakeGroup:
    """A group that knows us, until told otherwise."""

    def __init__(self) -> None:
        self.fenced = False

    def membership(self) -> Membership:
        if self.fenced:
            raise FencedError("the group has moved on")
        return ME


class FakeClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def event(value: bytes) -> Outgoing:
    """An event of this body."""
    return Outgoing("out", b"k", value, [])


class EndError(Exception):
    """The process ended."""


def end(code: int) -> NoReturn:
    """Stand for the end of the process."""
    raise EndError(code)


def make_context(observer: Observer | None = None, admin: Any = None, **more: Any) -> Context:
    """Surroundings of a worker under test.

    Args:
        observer: Told of everything.
        admin: The cluster.
        more: Keywords of `Context`, or of `WorkerConfig`.
    """
    observer = observer or Observer()
    names = {each.name for each in fields(Context)}
    given = {name: value for name, value in more.items() if name in names}
    options = {name: value for name, value in more.items() if name not in names}
    known = {
        "config": worker_config(**options),
        "lifecycle": Lifecycle(observer),
        "clock": FakeClock(),
        "exit_process": end,
        **given,
    }
    return Context(observer=observer, admin=admin, **known)
