"""Surroundings of one worker, handed to each of its parts."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from stream import STARTED
from stream.errors import UserError
from stream.kafka.protocol.ports import Clock, ClusterAdmin
from stream.observer import Observer

from .config import WorkerConfig
from .lifecycle import Lifecycle

log = logging.getLogger(__name__)

Offload = Callable[[Callable[[], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Surroundings of one worker.

    Attributes:
        config: Kafka configuration of the worker.
        observer: Receiver of reports.
        lifecycle: Phase of the worker.
        admin: Questions to the cluster.
        transactional_id: Transactional id of this worker; empty: without transactions.
        clock: Monotonic clock, which must go on while the process is suspended.
        wall_clock: Seconds since the epoch.
        started: Time at which the process was asked to start, in seconds since the epoch.
        exit_process: Function that ends the process at once with a code.
        offload: Function that runs blocking work beside the event loop.
    """

    config: WorkerConfig
    observer: Observer
    lifecycle: Lifecycle
    admin: ClusterAdmin
    transactional_id: str = ""
    clock: Clock = time.monotonic
    wall_clock: Callable[[], float] = time.time
    started: float = STARTED
    exit_process: Callable[[int], Any] = os._exit
    offload: Offload = asyncio.to_thread

    def fail(self, sentence: str, cause: BaseException | None = None, code: int = 1) -> NoReturn:
        """End the process at once: nothing more may reach the log.

        Args:
            sentence: Reason, for people.
            cause: Error behind it, logged with its trace; the sentence of a `UserError` is enough.
            code: Exit code.
        """
        if isinstance(cause, UserError):
            sentence, cause = cause.message, None
        self.lifecycle.fail(sentence)
        log.critical("%s The process ends now.", sentence.rstrip(), exc_info=cause)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self.exit_process(code)
        raise SystemExit(code)
