"""Runs a worker with the counting engine in a process of its own, so that tests can kill it.

`python -m tests.broker.worker_process JSON`, the JSON being the keywords of `WorkerConfig`.
What happens is printed as JSON lines.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

from stream.errors import UserError
from stream.kafka.recovery.loader import StateLoader
from stream.kafka.runtime.processor import Processor
from stream.kafka.worker import Worker
from stream.observer import Observer
from tests.broker.counting import CountingCodec, CountingEngine
from tests.e2e.short_sessions import shorten_fetches
from tests.worker_config import worker_config


def say(what: str, **more: Any) -> None:
    """One line of JSON."""
    print(json.dumps({"what": what, **more}), flush=True)


class Printing(Observer):
    """Prints what happens."""

    def __init__(self) -> None:
        self.messages = 0
        self.busy = 0.0

    def stepped(self, tps: Any, decoded: Any, result: Any, messages: int, seconds: float) -> None:
        self.messages += messages
        self.busy += seconds

    def checkpointed(self, reason: str, seconds: float, stalled: float, rows: int) -> None:
        figures = {"seconds": seconds, "stalled": stalled, "rows": rows, "busy": self.busy}
        say("checkpoint", reason=reason, messages=self.messages, **figures)

    def phase(self, phase: str, detail: str) -> None:
        say("phase", phase=phase, detail=detail)

    def assigned(self, active: Any, standby: Any) -> None:
        say("assigned", active=[list(tp) for tp in active], standby=[list(tp) for tp in standby])

    def loaded(self, tp: Any, accepted: int, stale: int, damaged: int) -> None:
        say("loaded", tp=list(tp), accepted=accepted, stale=stale, damaged=damaged)

    def dead_letters(self, outcome: str, reason: Any, count: int) -> None:
        say("dead_letters", outcome=outcome, count=count)


def tell_fetches() -> None:
    """Say what is fetched of changelogs, also what memory has and a merge leaves out."""
    load = StateLoader.load

    async def told(loader: StateLoader, recovery: Any, tp: Any, records: Any) -> None:
        first, last = records[0].offset, records[-1].offset
        source = loader._context.config.source_of(tp)
        say("fetched", tp=list(source), first=first, last=last)
        await load(loader, recovery, tp, records)

    StateLoader.load = told  # type: ignore[method-assign]


def set_clock_back() -> None:
    """By an hour."""
    now = time.time
    time.time = lambda: now() - 3600.0
    say("clock set back")


async def main(options: dict[str, Any]) -> int:
    """Work until a signal."""
    padding = options.pop("row_padding", 0)
    hangs, stalls = options.pop("hangs", False), options.pop("stalls", False)
    for name in ("bootstrap_servers", "topics"):
        options[name] = tuple(options[name])
    options["directory"] = Path(options["directory"])
    if options.pop("quick_fetches"):
        shorten_fetches()
    tell_fetches()
    engine = CountingEngine(padding)
    if hangs:
        engine.step_all = lambda *_: time.sleep(600)  # type: ignore[method-assign]
    if stalls:
        Processor.process = lambda *_: asyncio.sleep(600)  # type: ignore[method-assign]
    worker = Worker(worker_config(**options), CountingCodec(), engine, Printing())
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, set_clock_back)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, worker.stop)
    try:
        await worker.run()
    except UserError as error:
        say("refused", sentence=error.message)
        return error.exit_code
    say("stopped")
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in ("aiokafka", "faust", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.exit(asyncio.run(main(json.loads(sys.argv[1]))))
