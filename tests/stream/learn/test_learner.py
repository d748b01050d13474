"""Training by one worker: when it begins, and what is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream.kafka.client.errors import KafkaError
from stream.kafka.model_topic.catalogue import Catalogue
from stream.learn import learner as module
from stream.learn.learner import Learner
from stream.learn.report import Outcome, Progress
from stream.settings import Settings
from tests.stream.learn.test_schedule import catalogue_of

SETTINGS = Settings(learn={"enabled": True, "every": "7d"}, model={"topic": "<group>-model"})


class Notes:
    """Observer that keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.results: list[str] = []
        self.refused: list[tuple[str, ...]] = []

    def progress(self, stage: str, detail: str, share: float) -> None:
        self.stages.append(stage)

    def ended(self, result: str, detail: str) -> None:
        self.results.append(result)

    def held_back(self, reasons: tuple[str, ...], **about: Any) -> None:
        self.refused.append(reasons)


class Rehearsal:
    """A learner with the seat, on a topic and a process that are played."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *acts: Any) -> None:
        self.notes = Notes()
        self.learner = Learner(SETTINGS, self.notes)
        self.catalogue, self.has_model = Catalogue(), False
        self.jobs: list[tuple[int, bool]] = []
        self.slept: list[float] = []
        self._acts = list(acts)
        self._done = asyncio.Event()
        monkeypatch.setattr(self.learner, "_contents", self._contents)
        monkeypatch.setattr(module, "run_process", self._run)
        monkeypatch.setattr(module.asyncio, "sleep", self._sleep)
        monkeypatch.setattr(module.time, "time", lambda: 1_767_225_600.0)

    async def _contents(self) -> tuple[Catalogue, bool]:
        return self.catalogue, self.has_model

    async def _run(self, job: Any, on_progress: Any) -> Outcome:
        self.jobs.append((job.after, job.has_model))
        on_progress(Progress("training", "scales"))
        act = self._acts.pop(0)
        outcome: Outcome = act() if callable(act) else act
        return outcome

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self._acts:
            self._done.set()
            await asyncio.Event().wait()

    async def run(self) -> None:
        task = asyncio.ensure_future(self.learner._train_on_schedule())
        await self._done.wait()
        task.cancel()
        await asyncio.wait({task})


def published(rehearsal: Rehearsal) -> Outcome:
    rehearsal.catalogue, rehearsal.has_model = catalogue_of(published=0.0), True
    return Outcome("published", "")


async def test_it_waits_for_history_trains_and_waits_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rehearsal = Rehearsal(monkeypatch, Outcome("waiting", "5 h of 1 d", 17.0))
    rehearsal._acts.append(lambda: published(rehearsal))
    await rehearsal.run()
    assert rehearsal.jobs == [(-1, False), (-1, False)]
    assert rehearsal.slept[0] == 17.0
    assert rehearsal.notes.results == ["published"]
    assert rehearsal.notes.stages == ["training", "waiting", "training", "idle"]


async def test_pauses_between_failures_grow_and_a_success_ends_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failure = Outcome("failed", "exit code -9")
    rehearsal = Rehearsal(monkeypatch, failure, failure, failure)
    rehearsal._acts.append(lambda: published(rehearsal))
    await rehearsal.run()
    assert rehearsal.slept[:3] == sorted(rehearsal.slept[:3])
    assert rehearsal.slept[0] < rehearsal.slept[2]
    assert rehearsal.notes.results == ["failed"] * 3 + ["published"]


async def test_a_training_may_follow_the_newest_publication_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rehearsal = Rehearsal(monkeypatch)
    rehearsal.catalogue, rehearsal.has_model = catalogue_of(published=700_000.0), True
    rehearsal._acts.append(lambda: published(rehearsal))
    await rehearsal.run()
    assert rehearsal.jobs == [(0, True)]


async def test_a_refusal_is_told_until_something_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes = Notes()
    learner = Learner(SETTINGS, notes)
    topics = [catalogue_of(published=9.0, refused=5.0), catalogue_of(published=1.0)]

    async def read() -> Catalogue:
        return topics.pop(0)

    async def newest() -> None:
        return None

    monkeypatch.setattr(learner._source, "read", read)
    monkeypatch.setattr(learner._source, "newest", newest)
    await learner._contents()
    await learner._contents()
    assert notes.refused == [("no",), ()]


async def test_a_broker_that_is_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal = Rehearsal(monkeypatch)
    rehearsal._acts.append(lambda: published(rehearsal))
    contents, failures = rehearsal._contents, [KafkaError("away"), KafkaError("away")]

    async def sometimes() -> tuple[Catalogue, bool]:
        if failures:
            raise failures.pop()
        return await contents()

    monkeypatch.setattr(rehearsal.learner, "_contents", sometimes)
    await rehearsal.run()
    assert rehearsal.notes.results == ["published"]
