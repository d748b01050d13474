"""Virtual time, and worker processes that run one callback at a time until they are killed.

Every process has an event loop of its own, driven by hand: between any two of its callbacks, that
is at every await, it may be suspended, killed, or another process may run instead. Who runs, and
when, follows from the seed alone.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from random import Random
from typing import Any

BURST = 24
"""Most callbacks of a process before another may run."""


class StuckError(Exception):
    """A schedule that comes to no end."""


class Machine:
    """The clock, what is to happen, and the processes.

    Args:
        rng: All chance comes from it.
    """

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now = 0.0
        self.turns = 0
        self._order = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.processes: list[Process] = []

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Let something happen at a time."""
        self._order += 1
        heapq.heappush(self._events, (when, self._order, do))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Let something happen after a while."""
        self.at(self.now + seconds, do)

    def latency(self) -> float:
        """How long a message travels: mostly short, sometimes long."""
        r = self.rng.random()
        return 0.001 + 0.008 * r if r < 0.93 else 0.01 + 4.0 * (r - 0.93)

    def run(self, done: Callable[[], bool], seconds: float, turns: int) -> None:
        """Run until `done`.

        Raises:
            StuckError: After `seconds` of virtual time, or `turns` callbacks.
        """
        rng, queue = self.rng, self._events
        while True:
            awake = [p for p in self.processes if p.ready and not p.asleep]
            if awake:
                process = awake[0] if len(awake) == 1 else awake[int(rng.random() * len(awake))]
                self.turns += process.run(1 + int(rng.random() * BURST))
                if self.turns > turns:
                    raise StuckError(f"{turns} callbacks and no end")
                continue
            if done():
                return
            if not queue:
                raise StuckError("nothing is going to happen any more")
            self.now, _, do = heapq.heappop(queue)
            if self.now > seconds:
                raise StuckError(f"{seconds:g} s and no end")
            do()


class Callback:
    """What an event loop gives for a callback; `asyncio.Handle` does more, at three times the cost.

    Args:
        function: What is called.
        args: With these.
        context: In this; None: in a copy of the present one.
    """

    __slots__ = ("args", "cancelled", "context", "error", "function")

    def __init__(self, function: Any, args: Any, context: Any) -> None:
        self.function, self.args = function, args
        self.context = copy_context() if context is None else context
        self.cancelled = False

    def cancel(self) -> None:
        """It is passed over."""
        self.cancelled = True

    def run(self) -> None:
        """Call it; a failure nobody waits for shows in what is checked."""
        try:
            self.context.run(self.function, *self.args)
        except Exception as error:
            self.error = error


class Process(asyncio.AbstractEventLoop):
    """A process: an event loop that stops at any point.

    Args:
        machine: Where it runs.
        name: For traces.
        on_end: Called when it is dead.
    """

    def __init__(self, machine: Machine, name: str, on_end: Callable[[Process], None]) -> None:
        self.machine = machine
        self.name = name
        self.ready: deque[Callback] = deque()
        self.asleep = False
        self.dead = False
        self.code: int | None = None
        self.fuse = -1
        self.on_fuse: Callable[[], None] = lambda: None
        self.tasks: list[asyncio.Task[Any]] = []
        self._on_end = on_end
        machine.processes.append(self)

    # -- asyncio

    def get_debug(self) -> bool:
        return False

    def time(self) -> float:
        return self.machine.now

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = Callback(callback, args, context)
        self.ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self.machine.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        handle = Callback(callback, args, context)
        self.machine.at(when, lambda: self._due(handle))
        return handle

    def _due(self, handle: Callback) -> None:
        if not self.dead and not handle.cancelled:
            self.ready.append(handle)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **named: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self.tasks.append(task)
        if len(self.tasks) > 256:
            self.tasks = [task for task in self.tasks if not task.done()]
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing: a failure nobody waited for shows in what is checked."""

    # -- the process

    def start(self, main: Coroutine[Any, Any, Any]) -> None:
        """Begin; the end of `main` is the end of the process."""
        self._inside(lambda: self.create_task(main).add_done_callback(self._main_done))

    def _main_done(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        self.code = 0 if error is None else 2
        self.error = error

    def run(self, most: int) -> int:
        """Run up to `most` callbacks; fewer when something happens to the process."""
        ready = self.ready
        ran = 0
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while ready and ran < most and not self.asleep and self.code is None:
                if self.fuse == 0:
                    self.fuse = -1
                    self.on_fuse()
                    continue
                self.fuse -= 1
                handle = ready.popleft()
                if not handle.cancelled:
                    handle.run()
                ran += 1
        except SystemExit as stop:
            self.code = int(stop.code or 0)
        finally:
            events._set_running_loop(before)
        if self.code is not None and not self.dead:
            self.kill()
        return ran

    def kill(self) -> None:
        """End at once: nothing of it runs any more."""
        if self.dead:
            return
        self.dead = True
        self.code = -9 if self.code is None else self.code
        self.ready.clear()
        self.machine.processes.remove(self)
        self.machine.at(self.machine.now, self._bury)

    def _bury(self) -> None:
        # Clean-up code of closed coroutines runs here, against connections that are cut.
        for task in self.tasks:
            if not task.done():
                with suppress(BaseException):
                    task.get_coro().close()
        self.tasks.clear()
        self.ready.clear()
        self._on_end(self)

    def suspend(self, seconds: float) -> None:
        """Stop for a while, as SIGSTOP does, and go on as if nothing had happened."""
        self.asleep = True
        self.machine.after(seconds, self._wake)

    def _wake(self) -> None:
        self.asleep = False

    def _inside(self, do: Callable[[], Any]) -> None:
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            do()
        finally:
            events._set_running_loop(before)

    # -- the network

    def reply(self, future: asyncio.Future[Any], result: Any, error: Any = None) -> None:
        """Complete a future of this process, unless nobody is there any more."""
        if self.dead or future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def ask(self, what: Callable[[Callable[..., None]], None]) -> asyncio.Future[Any]:
        """Send a request: `what` happens at its arrival, with a function that answers it."""
        machine = self.machine
        future = asyncio.Future(loop=self)
        if self.dead:
            raise ConnectionError("cut")

        def answer(result: Any = None, error: Any = None) -> None:
            machine.after(machine.latency(), lambda: self.reply(future, result, error))

        def arrive() -> None:
            # What a dead process had sent may or may not have left its machine.
            if not self.dead or machine.rng.random() < 0.5:
                what(answer)

        machine.after(machine.latency(), arrive)
        return future
