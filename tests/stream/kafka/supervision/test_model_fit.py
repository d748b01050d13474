"""A model that fits nothing on the topic is found before anything is consumed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream.codecs import make_codec
from stream.kafka.supervision import model_fit
from stream.kafka.supervision.model_fit import misfit, wait_for_fit

CHANNELS = ("cpu", "memory")
CODEC = make_codec("json", CHANNELS)


def record(value: bytes) -> Any:
    return SimpleNamespace(key=b"k", value=value, timestamp=0, offset=0, headers=[])


def test_one_sentence_when_no_channel_is_there() -> None:
    records = [record(b'{"ts": 1700000000, "values": {"disk": 1.0}}')] * 7
    sentence = misfit("in", records, CODEC, CHANNELS)
    assert sentence is not None
    assert "newest 7 records" in sentence
    assert "cpu, memory" in sentence


def test_one_fitting_record_is_enough() -> None:
    records = [record(b'{"ts": 1700000000, "values": {"disk": 1.0}}')] * 7
    records.append(record(b'{"ts": 1700000000, "values": {"cpu": 1.0}}'))
    assert misfit("in", records, CODEC, CHANNELS) is None


def test_an_empty_topic_and_garbage_are_no_misfit() -> None:
    assert misfit("in", [], CODEC, CHANNELS) is None
    assert misfit("in", [record(b"garbage")] * 3, CODEC, CHANNELS) is None


async def test_a_worker_that_waits_takes_the_model_that_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rollback, or a reload, may bring it while the worker waits."""
    models = [("disk",), ("disk",), CHANNELS]
    refused: list[str] = []

    async def newest(*_: Any) -> list[Any]:
        return [record(b'{"ts": 1700000000, "values": {"cpu": 1.0}}')]

    monkeypatch.setattr(model_fit, "newest", newest)
    monkeypatch.setattr(model_fit, "_AGAIN_SECONDS", 0.0)
    context: Any = SimpleNamespace(
        config=SimpleNamespace(rekeyed=(), topics=("in",), client_settings=dict),
        lifecycle=SimpleNamespace(refuse_model=refused.append),
    )

    def current() -> tuple[Any, tuple[str, ...]]:
        channels = models.pop(0)
        return make_codec("json", channels), channels

    await wait_for_fit(context, current)
    assert len(refused) == 2
    assert not models
