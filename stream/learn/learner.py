"""Training by the one worker of the group that has the seat: election, schedule, reports."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from stream.configure import bundle_source
from stream.errors import UserError
from stream.kafka.client.errors import KafkaError
from stream.kafka.client.seat import Seat
from stream.kafka.config import WorkerConfig
from stream.kafka.model_topic.catalogue import Catalogue
from stream.kafka.supervision.topics import MODEL_CONFIG, prepare_log
from stream.settings import Settings

from .lengths import length_text
from .process import Job, run_process
from .report import Observer, Outcome, Progress
from .schedule import Pauses, seconds_until_training

_log = structlog.stdlib.get_logger("ember")

_TRANSIENT: Final = (KafkaError, UserError, OSError, TimeoutError)
"""Errors after which the worker tries again; they never end it."""
_AGAIN_SECONDS: Final = 5.0
_PUBLISH_SECONDS: Final = 10.0
"""Time that a publication gets when the worker stops, or has seen the model already."""
_LONGEST_SLEEP_SECONDS: Final = 3_600.0
"""Time after which a holder of the seat looks at the model topic again."""


class Learner:
    """Part of a worker that trains the model while it has the seat of the group.

    Each worker of the group has one. The seat decides who trains; the model topic decides what
    counts: a model is published only if nobody has published another one since its training began.
    So a worker that has lost the seat without noticing does no harm.

    Args:
        settings: Settings of the service.
        observer: Receiver of the reports.
        turn: Lock held while a model is trained; None: nobody else trains in this worker.
    """

    def __init__(
        self, settings: Settings, observer: Observer, turn: asyncio.Lock | None = None
    ) -> None:
        self._turn = turn or asyncio.Lock()
        self._settings = settings
        self._config = WorkerConfig.from_settings(settings)
        self._observer = observer
        # Its own: what it has read must not count as seen by the worker that follows the topic.
        self._source = bundle_source(settings, kept=False)
        self._task: asyncio.Task[None] | None = None
        self._unpublished = asyncio.Event()
        """Set while no process publishes."""
        self._unpublished.set()

    def start(self) -> None:
        """Start to take part in the election, and to train when it is this worker's turn."""
        self._task = asyncio.create_task(self._run(), name="ember-learn")

    async def stop(self) -> None:
        """Leave the election and end the process that trains; a publication may finish."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._unpublished.wait(), _PUBLISH_SECONDS)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        self._observer.progress("standby", "this worker does not train", 0.0)
        while True:
            try:
                await prepare_log(self._config, self._config.model_topic, MODEL_CONFIG)
                async with self._seat() as seat:
                    await seat.keep()
            except _TRANSIENT as error:
                reason = error.message if isinstance(error, UserError) else repr(error)
                _log.warning("learn_election", detail=f"No worker can be chosen: {reason}")
            await asyncio.sleep(_AGAIN_SECONDS)

    @contextlib.asynccontextmanager
    async def _seat(self) -> AsyncIterator[Seat]:
        config = self._config
        changes = asyncio.Queue[bool]()
        seat = Seat(
            config.client_settings(),
            config.learn_group,
            config.model_topic,
            config.session_timeout_seconds,
            changes.put_nowait,
        )
        following = asyncio.create_task(self._follow(changes))
        try:
            yield seat
        finally:
            following.cancel()
            await asyncio.wait({following})

    async def _follow(self, changes: asyncio.Queue[bool]) -> None:
        """Train while the seat is held."""
        work: asyncio.Task[None] | None = None
        try:
            while True:
                has_seat = await changes.get()
                if work is not None:
                    work.cancel()
                    await asyncio.wait({work})
                work = asyncio.create_task(self._train_on_schedule()) if has_seat else None
                if not has_seat:
                    self._observer.held_back(())
                    self._observer.progress("standby", "this worker does not train", 0.0)
        finally:
            if work is not None:
                work.cancel()
                await asyncio.wait({work})

    async def _train_on_schedule(self) -> None:
        pauses = Pauses()
        while True:
            try:
                catalogue, has_model = await self._contents()
            except _TRANSIENT as error:
                _log.warning("learn_topic", detail="No training is planned.", cause=repr(error))
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            seconds = seconds_until_training(
                catalogue, self._settings.learn.every_seconds, time.time(), has_model=has_model
            )
            if seconds is None or seconds:
                self._observer.progress("idle", _next_text(seconds, time.time()), 0.0)
                await asyncio.sleep(min(seconds or _LONGEST_SLEEP_SECONDS, _LONGEST_SLEEP_SECONDS))
                continue
            outcome = await self._train(catalogue, has_model=has_model)
            if outcome.result == "waiting":
                self._observer.progress("waiting", outcome.detail, 0.0)
                await asyncio.sleep(outcome.again_seconds)
                continue
            self._observer.ended(outcome.result, outcome.detail)
            if outcome.result != "failed":
                pauses.reset()
                continue
            pause = pauses.next()
            detail = f"a training failed, the next one begins in {length_text(pause)}"
            self._observer.progress("waiting", detail, 0.0)
            await asyncio.sleep(pause)

    async def _contents(self) -> tuple[Catalogue, bool]:
        """Return what the model topic has, and whether a bundle of it is in service."""
        has_model = await self._source.newest() is not None
        catalogue = await self._source.read()
        held_back = catalogue.held_back()
        if held_back is None:
            self._observer.held_back(())
        else:
            decision = held_back.decision
            self._observer.held_back(decision.reasons, digest=decision.manifest.digest)
        return catalogue, has_model

    async def _train(self, catalogue: Catalogue, *, has_model: bool) -> Outcome:
        try:
            async with self._turn:
                # Made here, so that it goes also when the process is killed.
                with tempfile.TemporaryDirectory(prefix="ember-learn-") as folder:
                    bundle = Path(folder) / "model"
                    job = Job(self._settings, catalogue.newest_offset, has_model, bundle)
                    return await run_process(job, self._on_progress)
        except OSError as error:  # such as a full disk, or no process to be had
            return Outcome("failed", f"The process that trains cannot be started: {error}.")
        finally:
            self._unpublished.set()

    def _on_progress(self, progress: Progress) -> None:
        if progress.stage == "publishing":
            self._unpublished.clear()
        self._observer.progress(progress.stage, progress.detail, progress.share)


def _next_text(seconds: float | None, now: float) -> str:
    if seconds is None:
        return "a model is in service, and learn.every is not set"
    begin = datetime.fromtimestamp(now + seconds, UTC).isoformat(timespec="seconds")
    return f"the next training begins at {begin.replace('+00:00', 'Z')}"
