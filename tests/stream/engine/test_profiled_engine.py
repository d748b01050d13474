"""Several models in one engine: each key is judged by the first model whose pattern it matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel, MotorNeuron
from stream.cli.state import card
from stream.control.rules import Limit, Rule
from stream.engine import (
    META_KEY,
    Engine,
    Limits,
    MetaRow,
    ProfiledEngine,
    Profiles,
    WindowSpec,
)
from stream.engine.state.migration import mark_in
from stream.engine.state.spill import Spill
from stream.records import Event, Reason
from tests.conftest import examples

from .conftest import (
    CHANNELS,
    KNOWN,
    QUICK,
    SECOND,
    START,
    TP,
    Run,
    Sent,
    body_of,
    cuts_of,
    eventful,
    feed_into,
    fit,
    rows_of,
    run,
    sent,
    signal,
    times_of,
)
from .rules_feed import control_of

WINDOW = WindowSpec("time", 30 * SECOND, 20 * SECOND)
OTHER_CHANNELS = ("depth", "heat")
QUEUES = (b"q1", b"q2")


def saved(folder: Path, **config: int) -> FleetModel:
    """A model of other keys, with other channels; one of them has the name of the model's."""
    fit(QUEUES, OTHER_CHANNELS, rows=211, **config).save(folder)
    model = FleetModel.load(folder, backend="numpy")
    model.pipeline.motor = MotorNeuron(on=1.5, off=1.1, time_constant_rows=2.0, refractory_rows=4)
    return model


@pytest.fixture(scope="module")
def queues(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    return saved(tmp_path_factory.mktemp("queues") / "one", hidden=9)


@pytest.fixture(scope="module")
def other_queues(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    return saved(tmp_path_factory.mktemp("queues") / "two", hidden=10)


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
@settings(QUICK, max_examples=examples(2))
@given(seed=st.integers(0, 99), size=st.sampled_from([3, 17, 64, 999]))
def test_one_model_under_two_patterns_gives_what_one_engine_gives(
    model: FleetModel, window: WindowSpec | None, ttl_us: int, seed: int, size: int
) -> None:
    feed = list(eventful(seed, 91))
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


def mixed_feed(rows: int = 90) -> list[Sent]:
    """Keys of two models, and one of none; the channels are depth, heat, load and flow."""
    rng, feeds = np.random.default_rng(5), []
    for number, key in enumerate((*KNOWN, b"new")):
        values = signal(rows, len(CHANNELS), number)
        values[50:56] += 60.0
        feeds.append(
            [
                (key, t, (np.nan, v[1], v[0], v[2]))
                for t, v in zip(times_of(rows, rng), values, strict=True)
            ]
        )
    for number, key in enumerate((*QUEUES, b"x")):
        values = signal(rows, 2, number)
        values[60:64] -= 50.0
        wide = [(depth, heat, np.nan, np.nan) for depth, heat in values]
        feeds.append([(key, t, v) for t, v in zip(times_of(rows, rng), wide, strict=True)])
    lines = sorted((line for feed in feeds for line in feed), key=lambda line: line[1])
    return [sent(*line) for line in lines]


def both(model: FleetModel, queues: FleetModel) -> Profiles:
    return Profiles([("q*", queues), ("[a-n]*", model)])


def alone(
    model: FleetModel, feed: Sequence[Sent], keys: Sequence[bytes], columns: list[int]
) -> Run:
    """An engine that gets only some keys, with only its own channels."""
    own = []
    for message in feed:
        key, time_us, values = message.samples[0]
        if key in keys:
            row = tuple(values[i] for i in columns)
            own.append(Sent(((key, time_us, row),)))
    return run(model, own, limits=Limits(64, stale_intervals=0.0))


@settings(QUICK, max_examples=examples(3))
@given(size=st.integers(2, 200))
def test_each_profile_gives_what_its_own_engine_gives(
    model: FleetModel, queues: FleetModel, size: int
) -> None:
    feed = mixed_feed()
    limits = Limits(64, stale_intervals=0.0)
    several = profiled(both(model, queues), feed, cuts_of(size, len(feed)), limits=limits)
    hosts = alone(model, feed, (*KNOWN, b"new"), [2, 1, 3])
    others = alone(queues, feed, QUEUES, [0, 1])
    assert several.triggers()
    assert several.scores == hosts.scores | others.scores
    assert of_key(several.events) == of_key(hosts.events) | of_key(others.events)
    counts = several.counts()
    assert counts.pop("no_profile") == 90
    assert counts == {
        name: hosts.counts().get(name, 0) + others.counts().get(name, 0) for name in counts
    }
    assert sum(several.counts().values()) == len(feed)


def restarted(run: Run, engine: ProfiledEngine | Engine) -> Run:
    """Another engine with the state of one, as it is in the changelog."""
    dirty = run.engine.take_dirty(TP)
    engine.load(TP, dirty.keys, list(dirty.rows))
    engine.migrate(TP)
    meta = engine.meta(TP)
    engine.open(TP, meta.absorbed + 1, -1)
    return Run(engine, events=[*run.events, *engine.give_up(TP)], scores=run.scores)


@settings(QUICK, max_examples=examples(3))
@given(cut=st.integers(1, 629), size=st.sampled_from([5, 13, 100]))
def test_a_restart_in_the_middle_changes_nothing(
    model: FleetModel, queues: FleetModel, cut: int, size: int
) -> None:
    feed, limits = mixed_feed(), Limits(64, stale_intervals=3.0)
    whole = profiled(both(model, queues), feed, limits=limits)
    first = profiled(both(model, queues), feed[:cut], cuts_of(size, cut), limits=limits)
    again = restarted(first, ProfiledEngine(both(model, queues), limits=limits))
    offsets = [cut, *(end for end in cuts_of(size, len(feed)) if end > cut)]
    feed_into(again, feed, offsets[1:], begin=cut)
    assert of_key(again.events) == of_key(whole.events)
    assert again.scores == whole.scores
    assert again.counts() == whole.counts()


def test_a_key_whose_pattern_changed_goes_on_under_its_new_model(
    model: FleetModel, queues: FleetModel
) -> None:
    feed = list(eventful(3))
    before = profiled(Profiles([("a", model)], model), feed)
    row = before.engine.row(TP, b"a")
    after = restarted(before, ProfiledEngine(Profiles([("a", queues)], model)))
    assert after.engine.row(TP, b"b") == before.engine.row(TP, b"b")
    assert after.engine.row(TP, b"a") != row
    former, new = (e._lanes[0]._store.layout for e in (before.engine, after.engine))
    kept = [
        layout.views(np.frombuffer(r, np.uint8)[None].copy())
        for layout, r in ((former, row), (new, after.engine.row(TP, b"a")))
    ]
    assert kept[0]["offset"] == kept[1]["offset"]
    assert kept[0]["last_time"] == kept[1]["last_time"]


def test_profiles_may_begin_and_end_with_a_restart(model: FleetModel, queues: FleetModel) -> None:
    """One model for all keys, then profiles, then one model: keys of that one keep their rows."""
    feed = list(eventful(3))
    plain = run(model, feed)
    rows = plain.rows()
    several = restarted(plain, ProfiledEngine(Profiles([("b", queues)], model)))
    assert several.engine.row(TP, b"a") == plain.engine.row(TP, b"a")
    assert several.engine.meta(TP).epochs[-1].version.profiles[0].pattern == "b"
    engine = Engine(model)
    engine.load(TP, list(rows), list(rows.values()))
    back = restarted(several, engine)
    assert {key: row for key, row in back.rows().items() if key != b"b"} == {
        key: row for key, row in rows.items() if key != b"b"
    }
    assert mark_in(back.engine.row(TP, b"b")) == mark_in(rows[b"a"])
    assert back.engine.meta(TP).profiles is msgspec.UNSET
    assert back.engine.meta(TP).epochs[-1].version.profiles is msgspec.UNSET


def test_keys_without_a_model_any_more_are_forgotten_with_their_alerts(touchy: FleetModel) -> None:
    feed = rows_of(b"a", signal(80, 3, 0) + np.where(np.arange(80) > 70, 90.0, 0.0)[:, None])
    before = profiled(Profiles([("*", touchy)]), feed)
    assert [each["status"] for each in before.triggers(b"a")][-1] == "firing"
    after = restarted(before, ProfiledEngine(Profiles([("other", touchy)])))
    (resolved,) = [body_of(event) for event in after.events[len(before.events) :]]
    assert (resolved["status"], resolved["labels"]["alertname"]) == ("resolved", "EmberFiring")
    dirty = after.engine.take_dirty(TP)
    assert dict(zip(dirty.keys, dirty.rows, strict=True))[b"a"] is None


def test_a_changed_bundle_of_one_profile_leaves_the_rows_of_the_others(
    model: FleetModel, queues: FleetModel, other_queues: FleetModel
) -> None:
    feed, other = mixed_feed(), other_queues
    several = profiled(both(model, queues), feed)
    engine = several.engine
    rows = {key: engine.row(TP, key) for key in all_keys(several)}
    engine.take_dirty(TP)
    engine.schedule_switch(TP, engine.meta(TP).absorbed + 1, both(model, other))
    engine.switch_model(both(model, other), [TP])
    changed = {key for key, row in rows.items() if engine.row(TP, key) != row}
    assert changed == set(QUEUES)
    dirty = engine.take_dirty(TP)
    assert set(dirty.keys) == {*QUEUES, META_KEY}
    meta = MetaRow.decode(list(dirty.rows)[-1])
    assert queues.sha256 in {layout.model for layout in meta.former}
    assert {layout.model for layout in meta.described()} == {model.sha256, other.sha256}
    with pytest.raises(ValueError, match="patterns of the profiles cannot change"):
        engine.switch_model(Profiles([("q1", other)], model))
    with pytest.raises(ValueError, match="Restart the worker"):
        engine.switch_model(model)
    with pytest.raises(ValueError, match="Restart the worker"):
        run(model, []).engine.switch_model(both(model, other))


def test_a_snapshot_has_the_rows_of_all_profiles(model: FleetModel, queues: FleetModel) -> None:
    several = profiled(both(model, queues), mixed_feed())
    engine, copy = several.engine, ProfiledEngine(both(model, queues))
    engine.take_dirty(TP)  # clean rows are in the log
    copy.attach(TP)
    scan = engine.scan(TP)
    while (block := scan.take(2)) is not None:
        copy.load_block(TP, block)
    assert not scan.waiting
    assert engine.row_kind() == copy.row_kind()
    keys = all_keys(several)
    assert {key: copy.row(TP, key) for key in keys} == {key: engine.row(TP, key) for key in keys}
    assert copy.active_keys == engine.active_keys == len(keys)
    assert engine.keys_by_profile() == {"q*": 2, "[a-n]*": 4}


def test_rows_beyond_memory_go_to_the_disk_by_profile(
    model: FleetModel, queues: FleetModel, spill: Callable[[], Spill]
) -> None:
    feed = mixed_feed()
    whole = profiled(both(model, queues), feed)
    engine = ProfiledEngine(both(model, queues), limits=Limits(max_keys=2), spill=spill)
    small = Run(engine)
    for begin in range(0, len(feed), 2):
        feed_into(small, feed, [begin + 2], begin=begin)
        engine.take_dirty(TP)
    assert engine.moved.evicted
    assert of_key(small.events) == of_key(whole.events)


def test_the_silence_of_a_partition_is_told_for_all_profiles(
    model: FleetModel, queues: FleetModel
) -> None:
    several = profiled(both(model, queues), mixed_feed())
    engine = several.engine
    clock_us = engine.meta(TP).clock_us
    silent_us = engine.silent_clock(TP, clock_us, 3_600 * SECOND)
    assert silent_us is not None
    engine.schedule_silence(TP, silent_us)
    told = [body_of(event)["labels"] for event in engine.tell_silence(TP).events]
    assert {each["key"] for each in told} == {"a", "b", "c", "new", "q1", "q2"}
    assert engine.meta(TP).clock_us == silent_us


def test_a_record_without_a_channel_of_its_profile_is_refused(
    model: FleetModel, queues: FleetModel
) -> None:
    nan = float("nan")
    feed = [
        sent(b"q1", START, (nan, nan, 1.0, 2.0)),  # load and flow are of the other profile
        Sent(((b"q1", START, (nan, nan, 1.0, 2.0)), (b"a", START, (nan, nan, 1.0, 2.0)))),
    ]
    several = profiled(both(model, queues), feed)
    (refused,) = several.steps[0].rejected
    assert (refused.message, refused.reason) == (0, Reason.NO_CHANNELS)
    assert several.counts() == {"no_channels": 1, "scored": 1}
    assert several.engine.row(TP, b"q1") is None


def test_a_candidate_of_one_profile_scores_its_keys_and_changes_nothing(
    model: FleetModel, queues: FleetModel, other_queues: FleetModel
) -> None:
    feed, profiles = mixed_feed(), both(model, queues)
    whole = profiled(profiles, feed)
    engine = ProfiledEngine(profiles, limits=Limits(64))
    watched = feed_into(Run(engine), feed[:200])
    with pytest.raises(ValueError, match="A candidate is shown the records of the live model"):
        engine.shadow_by(other_queues, "[a-n]*")
    with pytest.raises(ValueError, match="There is no model for such keys"):
        engine.shadow_by(other_queues)
    engine.shadow_by(other_queues, "q*")
    feed_into(watched, feed, [*cuts_of(37, len(feed))], begin=200)
    comparison = engine.comparison
    assert comparison is not None
    assert comparison.failed == ""
    later = {key: watched.scores[key] for key in QUEUES}
    scored = sum(len(step.scores.sample) for step in watched.steps[1:])
    of_queues = sum(len(rows) for rows in later.values())
    assert 0 < comparison.rows + comparison.only_live < min(scored, of_queues)
    assert comparison.apart[-1] < comparison.rows
    assert of_key(watched.events) == of_key(whole.events)
    assert watched.scores == whole.scores
    assert {k: engine.row(TP, k) for k in all_keys(whole)} == {
        k: whole.engine.row(TP, k) for k in all_keys(whole)
    }
    engine.detach(TP)
    engine.shadow_by(None)
    assert engine.comparison is None


def test_the_model_itself_as_candidate_of_its_profile_agrees_with_it(
    model: FleetModel, queues: FleetModel
) -> None:
    engine = ProfiledEngine(both(model, queues), WINDOW, Limits(64, stale_intervals=3.0))
    engine.shadow_by(queues, "q*")
    watched = feed_into(Run(engine), mixed_feed(), cuts_of(41, 630))
    engine.schedule_silence(TP, engine.meta(TP).clock_us + 3_600 * SECOND)
    engine.tell_silence(TP)
    comparison = engine.comparison
    assert comparison is not None
    assert (comparison.only_live, comparison.only_candidate, comparison.failed) == (0, 0, "")
    assert comparison.rows == sum(len(watched.scores[key]) for key in QUEUES)
    assert comparison.apart[1:] == [0] * (len(comparison.apart) - 1)


def test_a_candidate_of_a_profile_that_fails_is_given_up(
    model: FleetModel, queues: FleetModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = mixed_feed()
    whole = profiled(both(model, queues), feed)
    engine = ProfiledEngine(both(model, queues))
    engine.shadow_by(queues, "q*")
    monkeypatch.setattr(engine._shadow._candidate, "absorb", lambda _: 1 / 0)
    assert of_key(feed_into(Run(engine), feed).events) == of_key(whole.events)
    assert engine.comparison is not None
    assert engine.comparison.failed == "ZeroDivisionError: division by zero"


def test_the_state_of_a_key_is_shown_by_the_model_of_its_profile(
    model: FleetModel, queues: FleetModel
) -> None:
    engine = profiled(both(model, queues), mixed_feed()).engine
    engine.open(TP, engine.meta(TP).absorbed + 1, -1)
    meta = MetaRow.decode(engine.meta(TP).encode())
    for key, own in ((b"q1", queues), (b"a", model)):
        shown = card(key, *TP, engine.row(TP, key), meta)
        assert (shown["model"], shown["channels"]) == (own.sha256, list(own.identity))
        assert "scored, and may fire" in shown["standing"][0]


@settings(QUICK, max_examples=examples(2))
@given(size=st.sampled_from([17, 64, 999]), change=st.integers(100, 300))
def test_rules_of_operators_do_under_profiles_what_they_do_under_one_model(
    model: FleetModel, size: int, change: int
) -> None:
    """Hard limits too, whose state is in rows that get longer with them."""
    feed, limits = list(eventful(7, 91)), Limits(max_keys=64, stale_intervals=3.0)
    first = control_of(Rule(channels=("load",), ignore=True))
    second = control_of(Rule(keys=("[ab]",), channels=("heat",), limit=Limit(above=-1e6)))
    runs = []
    for engine in (
        Engine(model, None, limits, control=first),
        ProfiledEngine(Profiles([("[ac]", model)], model), None, limits, control=first),
    ):
        made = feed_into(Run(engine), feed[:change], cuts_of(size, change))
        engine.schedule_control(TP, engine.meta(TP).absorbed + 1, second)
        engine.use_control(second)
        cuts = [change, *(end for end in cuts_of(size, len(feed)) if end > change)]
        runs.append(feed_into(made, feed, cuts[1:], begin=change))
    plain, several = runs
    assert plain.triggers(name="EmberLimit")
    assert several.scores == plain.scores
    assert of_key(several.events) == of_key(plain.events)
    assert several.counts() == plain.counts()
    assert several.engine.meta(TP).control == plain.engine.meta(TP).control
    assert {key: several.engine.row(TP, key) for key in all_keys(several)} == plain.rows()
    (layout,) = several.engine.meta(TP).described()
    assert "limit_open" in {name for name, _, _ in layout.fields}
