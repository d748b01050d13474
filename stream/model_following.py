"""Following of the model topic by a worker: the wait for its first bundle, and every later one."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence

import structlog

from stream.engine import version_of
from stream.kafka.client.errors import KafkaError
from stream.kafka.model_topic.source import BundleSource, TopicBundle, UnreadableError

from .learn.learner import Learner
from .observe import Health, HttpServer, LearnObserver, Metrics, ProfileObservers
from .reload import Reloader
from .settings import Settings
from .version import version

_log = structlog.stdlib.get_logger("ember")

_AGAIN_SECONDS = 5.0


async def wait_for_bundles(
    settings: Settings, sources: Mapping[str, BundleSource]
) -> dict[str, TopicBundle] | None:
    """Return the newest bundles; wait for them with metrics and probes on where one is not there.

    With `learn.enabled` the workers that wait train them meanwhile.

    Args:
        settings: Settings of the service.
        sources: Sources of the bundles, by the pattern of their profile.

    Returns:
        A bundle of each source; None when the process was asked to stop.

    Raises:
        UserError: If a broker refuses the login, or the address of the probes is in use.
    """
    try:
        found = {pattern: await source.newest() for pattern, source in sources.items()}
        if bundles := _complete(found):
            return bundles
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
        is_missing = any(reason == source.missing for source in sources.values())
        phase = "learning" if settings.learn.enabled and is_missing else "waiting"
        metrics.phase(phase)
        health.phase(phase, reason, time.monotonic())

    async def wait() -> dict[str, TopicBundle]:
        return {pattern: await source.wait(on_wait) for pattern, source in sources.items()}

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    waiting = asyncio.ensure_future(wait())
    stopping = asyncio.ensure_future(stop.wait())
    learners = start_learning(settings, metrics, health)
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        for task in (waiting, stopping):
            task.cancel()
        await asyncio.wait({waiting, stopping})
        await stop_learning(learners)
        await server.stop()


def _complete(found: Mapping[str, TopicBundle | None]) -> dict[str, TopicBundle] | None:
    bundles = {pattern: bundle for pattern, bundle in found.items() if bundle is not None}
    return bundles if len(bundles) == len(found) else None


def start_learning(settings: Settings, metrics: Metrics, health: Health) -> list[Learner]:
    """Start the parts of a worker that train, one for each profile; none without `learn.enabled`.

    Args:
        settings: Settings of the service.
        metrics: Metrics to update.
        health: Health to update.
    """
    if not settings.learn.enabled:
        return []
    views, observer = settings.by_profile, LearnObserver(metrics, health)
    if len(views) == 1:
        learners = [Learner(view, observer) for view in views.values()]
    else:
        of_profiles, turn = ProfileObservers(observer), asyncio.Lock()
        learners = [
            Learner(view, of_profiles.observer(pattern), turn) for pattern, view in views.items()
        ]
    for learner in learners:
        learner.start()
    return learners


async def stop_learning(learners: Sequence[Learner]) -> None:
    """Stop the parts of a worker that train."""
    for learner in learners:
        await learner.stop()


async def follow(source: BundleSource, reloader: Reloader, profile: str = "") -> None:
    """Reload whenever a bundle is published that is not in use; runs until it is cancelled.

    Args:
        source: Source of the bundles.
        profile: Pattern of the profile that they are for; empty: all keys, or those of no profile.
        reloader: Reloader of the worker, which loads the newest bundle of the source.
    """
    while True:
        try:
            async for manifest in source.publications():
                if manifest.digest != version_of(reloader.model).model_for(profile):
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
