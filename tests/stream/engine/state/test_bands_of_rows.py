"""The band of a row: kept under its own model, begun anew under another one, and nothing else lost.

Scores in detail may be switched on and off, with rows of both layouts in one changelog.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.control.rules import Limit, Rule
from stream.engine import Engine, Limits, ProfiledEngine, Profiles
from stream.engine.state.spill import Spill
from tests.stream.engine.conftest import (
    KNOWN,
    TP,
    Run,
    Sent,
    feed_into,
    interleaved,
    rows_of,
    run,
    save_two_models,
    signal,
)
from tests.stream.engine.rules_feed import control_of
from tests.stream.engine.test_detailed_scores import bits
from tests.stream.engine.test_engine_versions import read

ON = Limits(max_keys=64, detailed=("*",))
OFF = replace(ON, detailed=())
Log = dict[bytes, bytes | None]


def noted(engine: Engine | ProfiledEngine, log: Log) -> None:
    """Append the rows that a checkpoint writes."""
    dirty = engine.take_dirty(TP)
    log.update(zip(dirty.keys, dirty.rows, strict=True))


def bands_of(engine: Engine) -> dict[bytes, bytes]:
    fields, index = engine._store.fields, engine._parts[TP].index
    return {key: fields["band"][slot].tobytes() for key, slot in index.items()}


def initial_bands(engine: Engine) -> dict[bytes, bytes]:
    store = engine._store
    return {
        key: store.layout.views(store.initial_row(key)[None])["band"][0].tobytes()
        for key in engine._parts[TP].index
    }


def without_bands(run_: Run) -> dict[bytes, dict[str, bytes]]:
    """Every other field of every row."""
    engine = run_.engine
    return {
        key: {
            name: np.ascontiguousarray(value[slot]).tobytes()
            for name, value in engine._store.fields.items()
            if name != "band"
        }
        for key, slot in engine._parts[TP].index.items()
    }


def quiet_feed(rows: int = 160) -> list[Sent]:
    return interleaved(*(rows_of(k, signal(rows, 3, n)) for n, k in enumerate((*KNOWN, b"new"))))


def test_off_and_on_again_loses_nothing_but_the_band(model: FleetModel, feed: list[Sent]) -> None:
    whole = run(model, feed, limits=OFF)
    log: Log = {}
    done = Run(Engine(model, None, ON))
    scores: dict[bytes, list[tuple]] = {}
    events, begin = [], 0
    for limits, end in ((ON, 130), (OFF, 260), (ON, 390), (OFF, len(feed))):
        engine = Engine(model, None, limits)
        done = Run(read(engine, log) if log else engine)
        if limits is ON:
            engine.attach(TP)
            assert bands_of(engine) == initial_bands(engine)
        feed_into(done, feed, [end], begin=begin)
        begin = end
        noted(engine, log)
        events += done.events
        for key, rows in done.scores.items():
            scores.setdefault(key, []).extend(rows)
        assert bool(bits(done)) == (limits is ON)
    assert scores == whole.scores
    assert events == whole.events
    assert without_bands(done) == without_bands(whole)


@pytest.mark.parametrize("first", [OFF, ON], ids=["switched on", "switched off"])
def test_rows_of_both_layouts_in_one_changelog_are_read(model: FleetModel, first: Limits) -> None:
    """Keys that have sent nothing since the switch have their row of before."""
    second = ON if first is OFF else OFF
    feed = quiet_feed()
    half = len(feed) // 2
    later = [m for m in feed[half:] if m.samples[0][0] == b"a"]
    log: Log = {}
    before = run(model, feed[:half], limits=first)
    noted(before.engine, log)
    switched = Run(read(Engine(model, None, second), log))
    feed_into(switched, later, first_offset=17 + half)
    noted(switched.engine, log)
    restarted = read(Engine(model, None, second), log)
    assert set(restarted._parts[TP].index) == {*KNOWN, b"new"}
    assert Run(restarted).rows() == switched.rows()
    back = read(Engine(model, None, first), log)
    fields = without_bands(Run(back))
    assert fields == without_bands(switched)
    assert set(fields) == {*KNOWN, b"new"}


def test_another_model_begins_the_bands_anew(tmp_path: Path) -> None:
    """Its usual sizes are others: a bound in those of the model before says nothing."""
    one, two = (FleetModel.load(p, backend="numpy") for p in save_two_models(tmp_path))
    feed = quiet_feed()
    half = len(feed) // 2
    done = run(one, feed[:half], limits=ON)
    assert bands_of(done.engine) != initial_bands(done.engine)
    done.engine.schedule_switch(TP, 17 + half, two)
    done.engine.switch_model(two, [TP])
    assert bands_of(done.engine) == initial_bands(done.engine)
    feed_into(done, feed, begin=half)
    assert len(bits(done)) == sum(map(len, done.scores.values()))


def test_fields_for_hard_limits_keep_the_bands(model: FleetModel) -> None:
    """The first hard limit moves all rows to another layout of the same model."""
    feed = quiet_feed()
    half = len(feed) // 2
    done = run(model, feed[:half], limits=ON)
    bands = bands_of(done.engine)
    assert bands != initial_bands(done.engine)
    done.engine.use_control(control_of(Rule(limit=Limit(above=1e9))))
    assert "limit_open" in done.engine.layout.dtype.names
    assert bands_of(done.engine) == bands
    feed_into(done, feed, begin=half)
    assert bits(done) == bits(run(model, feed, limits=ON))


@pytest.mark.parametrize("moves", [False, True], ids=["one layout", "two layouts"])
def test_rows_on_disk_keep_their_bands(
    model: FleetModel, spill: Callable[[], Spill], moves: bool
) -> None:
    """Rows that were put away come back, also under the layout that has fields for hard limits."""
    feed = quiet_feed()
    half = len(feed) // 2
    whole = run(model, feed, limits=ON)
    cut = Run(Engine(model, None, replace(ON, max_keys=2), spill=spill))
    for begin in range(len(feed)):
        if moves and begin == half:
            cut.engine.use_control(control_of(Rule(limit=Limit(above=1e9))))
        feed_into(cut, feed, [begin + 1], begin=begin)
        cut.engine.take_dirty(TP)  # rows that are not written stay in memory
    assert cut.engine.moved.returned > 100
    assert bits(cut) == bits(whole)


def test_profiles_keep_the_bands_over_a_restart(model: FleetModel) -> None:
    feed = quiet_feed()
    half = len(feed) // 2
    profiles = Profiles([("[ac]", model)], model)
    whole = feed_into(Run(ProfiledEngine(profiles, None, ON)), feed)
    first = feed_into(Run(ProfiledEngine(profiles, None, ON)), feed, [half])
    log: Log = {}
    noted(first.engine, log)
    second = Run(read(ProfiledEngine(profiles, None, ON), log))
    feed_into(second, feed, begin=half)
    assert sorted(bits(first) + bits(second)) == sorted(bits(whole))
