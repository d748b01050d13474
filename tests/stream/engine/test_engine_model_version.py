"""Another model, or other thresholds, from one offset on: the same however it came about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ember_core.pipeline import FleetModel, MotorNeuron
from stream.engine import META_KEY, Engine, Limits, MetaRow, model_version_of
from tests.simulation.spill import DictSpill
from tests.stream.engine.conftest import (
    CHANNELS,
    KNOWN,
    TP,
    Run,
    Sent,
    body_of,
    cuts_of,
    feed_into,
    fit,
    offsets_of,
    run,
    same,
    sent,
)

LIMITS = Limits(max_keys=64, stale_intervals=5.0)
AT = 301
"""The message from which the other one judges."""


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same channels, other weights, another size; it knows one key less."""
    path = tmp_path_factory.mktemp("bundles") / "other"
    fit(KNOWN[:2], CHANNELS, rows=211, hidden=13).save(path)
    return path


@pytest.fixture
def other(other_bundle: Path) -> FleetModel:
    return FleetModel.load(other_bundle, backend="numpy")


def offset(feed: list[Sent], at: int = AT) -> int:
    return int(offsets_of(feed)[at])


def begun(model: FleetModel, feed: list[Sent], at: int = AT, size: int = 1000) -> Run:
    """An engine that has absorbed the messages before the change."""
    engine = Engine(model, limits=LIMITS)
    engine.attach(TP)
    engine.open(TP, 17, -1)
    return feed_into(Run(engine), feed, cuts_of(size, at))


def changed(model: FleetModel, other: FleetModel, feed: list[Sent], size: int = 1000) -> Run:
    """A run in which the other one judges from `AT` on, without a restart."""
    done = begun(model, feed, size=size)
    done.engine.schedule_switch(TP, offset(feed), other)
    done.engine.switch_model(other, [TP])
    return feed_into(done, feed, cuts_of(size, len(feed)), begin=AT)


def reloaded(engine: Engine, model: FleetModel) -> Engine:
    """A worker that reads what this one writes now."""
    dirty = engine.take_dirty(TP)
    new = Engine(model, limits=LIMITS)
    assert new.load(TP, dirty.keys, dirty.rows).damaged == []
    assert new.migrate(TP).damaged == []
    return new


@pytest.mark.parametrize("size", [1, 13])
def test_it_judges_from_its_offset_on_however_the_log_is_cut(
    model: FleetModel, other: FleetModel, feed: list[Sent], size: int
) -> None:
    same(changed(model, other, feed, size), changed(model, other, feed))


def test_every_event_names_the_model_of_its_record(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    """And nothing that the first one said is unsaid."""
    done, first = changed(model, other, feed), begun(model, feed)
    assert done.events[: len(first.events)] == first.events
    later = {body_of(e)["model"]["sha256"] for e in done.events[len(first.events) :]}
    assert later == {other.sha256}
    meta = done.engine.meta(TP)
    assert [each.offset for each in meta.epochs] == [17, offset(feed)]
    assert [each.version for each in meta.epochs] == [
        model_version_of(model),
        model_version_of(other),
    ]
    assert meta.model == other.sha256


def test_an_older_row_stays_late_after_the_change(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    """A key's place in the log does not depend on the model, nor on a restart at the change."""
    key = KNOWN[0]
    [(_, time_us, values)] = [
        m.samples[0] for m in feed[:AT] if m.samples and m.samples[0][0] == key
    ][-1:]
    again = [*feed[:AT], sent(key, time_us - 1, values)]
    going_on = begun(model, again)
    going_on.engine.schedule_switch(TP, offset(again), other)
    going_on.engine.switch_model(other, [TP])
    restarted = Run(reloaded(begun(model, again).engine, other))
    for worker in (going_on, restarted):
        feed_into(worker, again, begin=AT)
        assert worker.steps[-1].counts == {"late": 1}


def test_no_key_alarms_for_some_rows_after_the_change(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    """Windows and scales go on, liquid state and tail begin anew: that is no reason to alarm."""
    done, first = changed(model, other, feed), begun(model, feed)
    new = done.events[len(first.events) :]
    said = [body_of(e) for e in new]
    assert not [b for b in said if b["status"] == "firing" and b.get("reason") != "stale"]
    whole = run(model, feed, limits=LIMITS)
    assert any(e.time_us > new[0].time_us for e in whole.events), "the feed has faults there"


def test_a_crash_between_the_announcement_and_the_use_changes_nothing(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    """The log has the old rows and the new judge's name; the next worker takes over from there."""
    expected = changed(model, other, feed)
    crashed = begun(model, feed)
    crashed.engine.schedule_switch(TP, offset(feed), other)
    second = reloaded(crashed.engine, other)
    assert not second.open(TP, offset(feed), -1), "it was written, so nothing is new"
    done = feed_into(Run(second, scores=crashed.scores, events=crashed.events), feed, begin=AT)
    same(done, expected)


def test_a_restart_with_another_model_is_the_same_change(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    """It is announced, too, before its first record."""
    stopped = begun(model, feed)
    second = reloaded(stopped.engine, other)
    assert second.open(TP, offset(feed), -1)
    done = feed_into(Run(second, scores=stopped.scores, events=stopped.events), feed, begin=AT)
    same(done, changed(model, other, feed))


def test_a_change_that_was_never_used_leaves_no_trace(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    crashed = begun(model, feed)
    crashed.engine.schedule_switch(TP, offset(feed), other)
    back = reloaded(crashed.engine, model)
    assert not back.open(TP, offset(feed), -1)
    epochs = back.meta(TP).epochs
    assert [(each.offset, each.version.model) for each in epochs] == [(17, model.sha256)]


def test_a_roll_back_without_a_record_in_between_is_two_changes(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    """The rows were migrated twice, so that a replay has to know of both."""
    done = begun(model, feed)
    for each in (other, model):
        done.engine.schedule_switch(TP, offset(feed), each)
        done.engine.switch_model(each, [TP])
    expected = [model.sha256, other.sha256, model.sha256]
    assert [each.version.model for each in done.engine.meta(TP).epochs] == expected
    restarted = reloaded(done.engine, model)
    assert [each.version.model for each in restarted.meta(TP).epochs] == expected


@pytest.mark.parametrize("restarts", [False, True])
def test_a_roll_back_is_the_same_for_rows_in_memory_and_on_disk(
    model: FleetModel, other: FleetModel, feed: list[Sent], restarts: bool
) -> None:
    """A row on disk has seen neither change; one in memory was migrated to the other and back."""

    def rolled_back(max_keys: int) -> Run:
        engine = Engine(model, limits=replace(LIMITS, max_keys=max_keys), spill=DictSpill)
        engine.attach(TP)
        engine.open(TP, 17, -1)
        done = Run(engine)
        written: dict[bytes, bytes | None] = {}

        def write() -> None:
            dirty = done.engine.take_dirty(TP)
            written.update(zip(dirty.keys, dirty.rows, strict=True))

        ends = cuts_of(1, len(feed))
        for begin, end in zip([0, *ends], ends, strict=False):
            if begin == AT:
                for each in (other, model):
                    done.engine.schedule_switch(TP, offset(feed), each)
                    done.engine.switch_model(each, [TP])
                    write()
                if restarts:
                    new = Engine(model, limits=engine._limits, spill=DictSpill)
                    assert new.load(TP, list(written), list(written.values())).damaged == []
                    assert new.migrate(TP).damaged == []
                    new.open(TP, offset(feed), -1)
                    done = Run(new, scores=done.scores, events=done.events)
            feed_into(done, feed, [end], begin=begin)
            write()
        return done

    few, many = rolled_back(3), rolled_back(64)
    assert few.scores == many.scores
    assert few.events == many.events
    assert few.engine.meta(TP) == many.engine.meta(TP)
    for key, row in many.rows().items():
        assert few.engine.row(TP, key) == row


def test_thresholds_change_what_is_said_and_nothing_else(
    bundle: Path, model: FleetModel, feed: list[Sent]
) -> None:
    """Scores go on as they were, no key goes through a quiet time."""
    touchy = FleetModel.load(bundle, backend="numpy").configure(anomaly_severity=0.7)
    touchy.pipeline.motor = MotorNeuron(on=1.3, off=1.0, time_constant_rows=3.0, refractory_rows=7)
    at = 101
    done = begun(model, feed, at)
    done.engine.schedule_switch(TP, offset(feed, at), touchy)
    done.engine.switch_model(touchy, [TP])
    feed_into(done, feed, begin=at)
    whole = run(model, feed, limits=LIMITS)
    first = {key: [row[:3] for row in rows] for key, rows in whole.scores.items()}
    assert {key: [row[:2] for row in rows] for key, rows in done.scores.items()} == {
        key: [row[:2] for row in rows] for key, rows in first.items()
    }
    assert len(done.events) > len(whole.events)
    assert len(done.engine.meta(TP).epochs) == 2


def test_a_row_put_away_under_the_former_model_comes_back_as_if_it_had_been_in_memory(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    """Also after a restart that finds it unchanged in the changelog."""
    expected = changed(model, other, feed)
    engine = Engine(model, limits=replace(LIMITS, max_keys=3), spill=DictSpill)
    engine.attach(TP)
    engine.open(TP, 17, -1)
    done, written = Run(engine), {}
    ends = cuts_of(1, len(feed))
    for begin, end in zip([0, *ends], ends, strict=False):
        if begin == AT:
            engine.schedule_switch(TP, offset(feed), other)
            engine.switch_model(other, [TP])
            dirty = engine.take_dirty(TP)  # the processor asks for it: no row could leave memory
            written.update(zip(dirty.keys, dirty.rows, strict=True))
        feed_into(done, feed, [end], begin=begin)
        dirty = engine.take_dirty(TP)
        written.update(zip(dirty.keys, dirty.rows, strict=True))
        if end == AT + 7:
            twin = Engine(other, limits=LIMITS)
            assert twin.load(TP, list(written), list(written.values())).damaged == []
            assert twin.migrate(TP).damaged == []
            late = feed_into(Run(twin), feed, begin=end)
    assert engine.moved.returned > 20
    assert done.events == expected.events
    assert done.scores == expected.scores
    assert late.rows() == expected.rows()


def test_only_rows_this_worker_writes_are_dirty_after_a_change(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    """A standby's copy is written by whoever owns the partition."""
    for owned in ([TP], []):
        done = begun(model, feed)
        done.engine.take_dirty(TP)
        done.engine.switch_model(other, owned)
        keys = done.engine.take_dirty(TP).keys
        assert len(keys) == (1 + done.engine.keys(TP) if owned else 1)
        assert keys[-1] == META_KEY


def test_a_change_before_the_first_record_is_state(model: FleetModel, other: FleetModel) -> None:
    """The checkpoint of the change commits an offset: a next start must find state for it."""
    engine = Engine(model, limits=LIMITS)
    engine.attach(TP)
    engine.open(TP, 17, -1)
    engine.schedule_switch(TP, 17, other)
    assert (engine.meta(TP).first_offset, engine.meta(TP).absorbed) == (17, 16)


def test_what_is_kept_of_judges_and_former_models_is_bounded(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    done = begun(model, feed, 5)
    for turn in range(40):
        for each in (other, model):
            done.engine.schedule_switch(TP, 100 + turn, each)
            done.engine.switch_model(each, [TP])
    meta = MetaRow.decode(done.engine.take_dirty(TP).rows[-1] or b"")
    assert len(meta.epochs) <= 16
    assert [each.model for each in meta.former] == [model.sha256, other.sha256]
    offsets = [each.offset for each in meta.epochs]
    assert offsets == sorted(offsets)


def test_a_candidate_changes_nothing_and_is_compared_row_by_row(
    model: FleetModel, other: FleetModel, feed: list[Sent]
) -> None:
    """Scores of both, no events of the candidate, the live rows as without it."""
    alone = run(model, feed, limits=LIMITS)
    shadowed = begun(model, feed)
    shadowed.engine.shadow_by(other)
    feed_into(shadowed, feed, cuts_of(17, len(feed)), begin=AT)
    assert shadowed.events == alone.events
    assert shadowed.rows() == alone.rows()
    found = shadowed.engine.comparison
    assert found is not None
    assert found.failed == ""
    rows = sum(step.scores.score.size for step in shadowed.steps[1:])
    assert found.rows + found.only_live == rows > found.rows > 0
    assert sum(found.apart) == found.rows
    assert len(found.furthest) == 10
    assert np.all(np.diff([row[0] for row in found.furthest]) <= 0)
    alike = begun(model, feed)
    alike.engine.shadow_by(model)
    feed_into(alike, feed, begin=AT)
    twin = alike.engine.comparison
    assert twin is not None
    assert twin.apart[0] == twin.rows
    assert twin.furthest[0][0] == 0.0
    assert twin.correlation == pytest.approx(1.0)
    assert twin.anomalies["live"] == twin.anomalies["candidate"] == 0
    assert twin.anomalies["both"] > 0
    before = twin.rows
    twin.merge(found)
    assert twin.rows == before + found.rows


def test_a_candidate_that_fails_is_given_up_and_nothing_else(
    model: FleetModel, other: FleetModel, feed: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = begun(model, feed)
    done.engine.shadow_by(other)
    monkeypatch.setattr(other.pipeline, "score", lambda _: 1 / 0)
    feed_into(done, feed, begin=AT)
    assert done.events == run(model, feed, limits=LIMITS).events
    assert done.engine.comparison is not None
    assert "ZeroDivisionError" in done.engine.comparison.failed


def test_a_candidate_of_other_channels_is_refused(model: FleetModel) -> None:
    engine = Engine(model, limits=LIMITS)
    with pytest.raises(ValueError, match=r"Expected its channels, .*'load'.*Received: .*'heat'\]"):
        engine.shadow_by(fit(KNOWN, ("load", "heat")))


def test_a_candidate_without_room_for_the_keys_is_given_up_and_nothing_else(
    model: FleetModel, other: FleetModel, feed: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate has no rows on disk: keys that do not fit end it, not the worker."""
    done = begun(model, feed)
    done.engine.shadow_by(other)

    def full(*_: object, **__: object) -> None:
        raise MemoryError("no slot is left")

    monkeypatch.setattr("stream.engine.engine.copy_rows", full)
    feed_into(done, feed, begin=AT)
    assert done.events == run(model, feed, limits=LIMITS).events
    assert done.engine.comparison is not None
    assert "MemoryError" in done.engine.comparison.failed
