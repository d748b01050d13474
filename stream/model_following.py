"""Following of the model topic by a worker: the wait for its first bundle, and every later one."""

from __future__ import annotations

import asyncio
import signal
import time

import structlog

from stream.engine import version_of
from stream.kafka.client.errors import KafkaError
from stream.kafka.model_topic.source import BundleSource, TopicBundle, UnreadableError

from .learn.learner import Learner
from .observe import Health, HttpServer, LearnObserver, Metrics
from .reload import Reloader
from .settings import Settings
from .version import version

_log = structlog.stdlib.get_logger("ember")

_AGAIN_SECONDS = 5.0


async def wait_for_bundle(settings: Settings, source: BundleSource) -> TopicBundle | None:
    """Return the newest bundle; wait for it with metrics and probes on where there is none.

    With `learn.enabled` one of the workers that wait trains it meanwhile.

    Args:
        settings: Settings of the service.
        source: Source of the bundles.

    Returns:
        The bundle; None when the process was asked to stop.

    Raises:
        UserError: If a broker refuses the login, or the address of the probes is in use.
    """
    try:
        if bundle := await source.newest():
            return bundle
    except UnreadableError:
        pass  # the wait below names the reason, and waits for a broker
    metrics = Metrics(settings.engine_topics, version=version())
    http = settings.http
    health = Health(time.monotonic(), live_seconds=http.live_seconds)
    server = HttpServer(
        metrics,
        health,
        host=http.host,
        port=http.port,
        token=http.token.get_secret_value(),
    )

    def on_wait(reason: str) -> None:
        # A wait that ends by itself pages nobody.
        is_learning = settings.learn.enabled and reason == source.missing
        phase = "learning" if is_learning else "waiting"
        metrics.phase(phase)
        health.phase(phase, reason, time.monotonic())

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    waiting = asyncio.ensure_future(source.wait(on_wait))
    stopping = asyncio.ensure_future(stop.wait())
    learner = start_learning(settings, metrics, health)
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        for task in (waiting, stopping):
            task.cancel()
        await asyncio.wait({waiting, stopping})
        if learner is not None:
            await learner.stop()
        await server.stop()


def start_learning(settings: Settings, metrics: Metrics, health: Health) -> Learner | None:
    """Start the part of a worker that trains; None where `learn.enabled` is not set.

    Args:
        settings: Settings of the service.
        metrics: Metrics to update.
        health: Health to update.
    """
    if not settings.learn.enabled:
        return None
    learner = Learner(settings, LearnObserver(metrics, health))
    learner.start()
    return learner


async def follow(source: BundleSource, reloader: Reloader) -> None:
    """Reload whenever a bundle is published that is not in use; runs until it is cancelled.

    Args:
        source: Source of the bundles.
        reloader: Reloader of the worker, which loads the newest bundle of the source.
    """
    while True:
        try:
            async for manifest in source.publications():
                if manifest.digest != version_of(reloader.model).model:
                    await _take(reloader)
        except KafkaError as error:
            _log.warning("the model topic cannot be followed", cause=repr(error))
        await asyncio.sleep(_AGAIN_SECONDS)


async def _take(reloader: Reloader) -> None:
    """Reload; again where the topic could not be read just now."""
    outcome = await reloader.reload()
    while outcome.again:
        await asyncio.sleep(_AGAIN_SECONDS)
        outcome = await reloader.reload()
