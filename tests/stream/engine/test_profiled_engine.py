"""Several models in one engine: each key is judged by the first model whose pattern it matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel, MotorNeuron
from stream.engine import Engine, Limits, ProfiledEngine, Profiles, WindowSpec
from stream.engine.state.spill import Spill
from stream.records import Event

from .conftest import (
    CHANNELS,
    INTERVAL,
    KNOWN,
    QUICK,
    SECOND,
    START,
    TP,
    Run,
    Sent,
    cuts_of,
    eventful,
    feed_into,
    fit,
    interleaved,
    run,
    sent,
    signal,
    times_of,
)

WINDOW = WindowSpec("time", 30 * SECOND, 20 * SECOND)
OTHER_CHANNELS = ("depth", "heat")
QUEUES = (b"q1", b"q2")


@pytest.fixture(scope="module")
def queues() -> FleetModel:
    """Model of other keys, with other channels; one of them has the name of another model's."""
    model = fit(QUEUES, OTHER_CHANNELS, rows=211, hidden=5)
    model.pipeline.motor = MotorNeuron(on=1.5, off=1.1, time_constant_rows=2.0, refractory_rows=4)
    return model


def profiled(
    profiles: Profiles,
    feed: Sequence[Sent],
    cuts: Iterable[int] | None = None,
    **more: object,
) -> Run:
    engine = ProfiledEngine(profiles, more.get("window"), more.get("limits") or Limits(64))
    return feed_into(Run(engine), feed, cuts)


def of_key(events: Iterable[Event]) -> dict[bytes, list[Event]]:
    """Events of each key, in their order."""
    by_key: dict[bytes, list[Event]] = {}
    for event in events:
        by_key.setdefault(event.key, []).append(event)
    return by_key


def all_keys(run: Run) -> list[bytes]:
    return [key for lane in run.engine._lanes for key in lane._parts[TP].index]


@pytest.mark.parametrize("window", [None, WINDOW], ids=["count", "time"])
@pytest.mark.parametrize("ttl_us", [0, 200 * SECOND], ids=["kept", "expiring"])
@QUICK
@given(seed=st.integers(0, 99), size=st.sampled_from([1, 7, 64, 999]))
def test_one_model_under_two_patterns_gives_what_one_engine_gives(
    model: FleetModel, window: WindowSpec | None, ttl_us: int, seed: int, size: int
) -> None:
    feed = list(eventful(seed, 97))
    limits = Limits(max_keys=64, stale_intervals=3.0, ttl_us=ttl_us)
    plain = run(model, feed, cuts_of(size, len(feed)), window=window, limits=limits)
    profiles = Profiles([("[ab]", model), ("*e*", model)], model)
    several = profiled(profiles, feed, cuts_of(size, len(feed)), window=window, limits=limits)
    assert several.scores == plain.scores
    assert of_key(several.events) == of_key(plain.events)
    assert sorted(map(str, several.events)) == sorted(map(str, plain.events))
    assert several.counts() == plain.counts()
    assert several.engine.meta(TP).clock_us == plain.engine.meta(TP).clock_us
    assert {key: several.engine.row(TP, key) for key in all_keys(several)} == plain.rows()
