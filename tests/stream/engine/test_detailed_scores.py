"""Scored rows in detail: the same however the log is cut, and nothing else is changed by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel, score_series
from stream.control.rules import Rule
from stream.engine import DetailedScores, Engine, Limits, ProfiledEngine, Profiles, WindowSpec
from tests.core.pipeline.evidence import fleet
from tests.stream.engine.conftest import (
    INTERVAL,
    KNOWN,
    QUICK,
    SECOND,
    TP,
    Run,
    Sent,
    body_of,
    cuts_of,
    eventful,
    feed_into,
    fit,
    interleaved,
    rows_of,
    run,
    sent,
    signal,
)
from tests.stream.engine.rules_feed import control_of, run_by
from tests.stream.engine.test_engine_versions import read

LIMITS = Limits(max_keys=64, stale_intervals=5.0, detailed=("*",))
WINDOW = WindowSpec("time", INTERVAL * SECOND, 15 * SECOND)
NAMES = [f.name for f in fields(DetailedScores) if f.name not in ("channels", "keys", "sample")]


def bits(done: Run) -> list[tuple[bytes, ...]]:
    """Every row with all its columns, in order of arrival."""
    return [
        (key, *(np.ascontiguousarray(getattr(details, name)[i]).tobytes() for name in NAMES))
        for step in done.steps
        for details in step.details
        for i, key in enumerate(details.keys)
    ]


def joined(done: Run) -> DetailedScores:
    """All rows of a run of one model."""
    parts = [details for step in done.steps for details in step.details]
    columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in NAMES}
    keys = [key for part in parts for key in part.keys]
    return DetailedScores(parts[0].channels, keys, np.arange(len(keys)), **columns)


@pytest.fixture(scope="module")
def of_channels(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    """A model with channel evidence."""
    folder = tmp_path_factory.mktemp("model")
    fleet.model().save(folder)
    return FleetModel.load(folder, backend="numpy")


def hosts(faults: bool = True) -> list[Sent]:
    """Rows of two keys, with a fault of one."""
    first = fleet.DAYS * fleet.DAY_ROWS
    at, feeds = fleet.times(first, 300), []
    for number in (1, 2):
        values = fleet.rows(number, first, 300)
        if faults and number == 1:
            values[200:230, 1] *= 3.0
        key = f"host-{number}".encode()
        feeds.append([sent(key, at[i], values[i]) for i in range(len(values))])
    return interleaved(*feeds)


@pytest.mark.parametrize("size", [1, 7, 256])
@pytest.mark.parametrize("window", [None, WINDOW], ids=["count", "time"])
def test_the_size_of_a_batch_changes_nothing(
    model: FleetModel, feed: list[Sent], window: WindowSpec | None, size: int
) -> None:
    whole = run(model, feed, window=window, limits=LIMITS)
    cut = run(model, feed, cuts_of(size, len(feed)), window=window, limits=LIMITS)
    assert bits(cut) == bits(whole)
    assert cut.rows() == whole.rows()
    assert len(bits(whole)) == sum(map(len, whole.scores.values()))


@pytest.mark.parametrize("size", [1, 53])
def test_the_size_of_a_batch_changes_nothing_with_channel_evidence(
    of_channels: FleetModel, size: int
) -> None:
    feed = hosts()
    whole = run(of_channels, feed, limits=LIMITS)
    cut = run(of_channels, feed, cuts_of(size, len(feed)), limits=LIMITS)
    assert bits(cut) == bits(whole)
    assert whole.triggers()


@QUICK
@given(data=st.data(), seed=st.integers(0, 99))
def test_cuts_anywhere_change_nothing(model: FleetModel, data: st.DataObject, seed: int) -> None:
    feed = list(eventful(seed, 91))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(feed) - 1), max_size=25)))
    whole = run(model, feed, window=WINDOW, limits=LIMITS)
    cut = run(model, feed, [*cuts, len(feed)], window=WINDOW, limits=LIMITS)
    assert bits(cut) == bits(whole)


@pytest.mark.parametrize("window", [None, WINDOW], ids=["count", "time"])
def test_no_other_result_depends_on_details(
    model: FleetModel, feed: list[Sent], window: WindowSpec | None
) -> None:
    plain = run(model, feed, window=window, limits=replace(LIMITS, detailed=()))
    detailed = run(model, feed, window=window, limits=LIMITS)
    assert detailed.scores == plain.scores
    assert detailed.events == plain.events
    assert not bits(plain)
    assert "band" not in plain.engine.layout.dtype.names
    assert detailed.engine.row_bytes - plain.engine.row_bytes == 2 * 3 * 4


@pytest.mark.parametrize("patterns", [("a",), ("[bc]", "new"), ("nobody-*",)])
def test_only_keys_that_are_asked_for_have_details(
    model: FleetModel, feed: list[Sent], patterns: Sequence[str]
) -> None:
    all_rows = bits(run(model, feed, cuts_of(31, len(feed)), limits=LIMITS))
    some = replace(LIMITS, detailed=tuple(patterns))
    wanted = {"a": [b"a"], "[bc]": [b"b", b"c", b"new"]}.get(patterns[0], [])
    rows = bits(run(model, feed, cuts_of(53, len(feed)), limits=some))
    assert rows == [row for row in all_rows if row[0] in wanted]
    assert bool(rows) == bool(wanted)


def test_the_columns_are_those_of_scores_and_events(of_channels: FleetModel) -> None:
    """Score, evidence, threshold, shares and values are what the trigger says of its row."""
    done = run(of_channels, hosts(), limits=LIMITS)
    rows, (step,) = joined(done), done.steps
    for name in ("time_us", "score", "evidence", "anomaly", "trigger", "firing"):
        assert (getattr(rows, name) == getattr(step.scores, name)).all(), name
    (body, *_) = done.triggers()
    (fired,) = np.flatnonzero(rows.trigger > 0)
    assert rows.keys[fired] == b"host-1"
    assert body["threshold"] == pytest.approx(rows.threshold[fired])
    assert rows.evidence[fired] >= rows.threshold[fired]
    assert body["severity"] == pytest.approx(rows.severity[fired])
    for channel in body["top_channels"]:
        c = rows.channels.index(channel["name"])
        assert channel["share"] == pytest.approx(rows.contribution[fired, c])
        assert channel["value"] == rows.value[fired, c]
        assert channel["expected"] == rows.usual[fired, c]
    assert rows.contribution.sum(axis=1) == pytest.approx(1.0)


def test_a_series_of_one_key_has_the_shares_of_the_stream(of_channels: FleetModel) -> None:
    feed = [m for m in hosts() if m.samples[0][0] == b"host-1"]
    rows = joined(run(of_channels, feed, limits=LIMITS))
    values = np.array([m.samples[0][2] for m in feed])
    times = np.array([m.samples[0][1] for m in feed])
    series = score_series(of_channels, values, times, key=b"host-1")
    assert (series.contribution.astype(np.float32) == rows.contribution).all()
    assert (series.severity == rows.severity).all()
    assert (series.upper == rows.upper).all()


def test_rules_move_the_threshold_of_the_row(model: FleetModel) -> None:
    feed = interleaved(*(rows_of(key, signal(120, 3, n)) for n, key in enumerate(KNOWN)))
    plain = joined(run(model, feed, limits=LIMITS))
    control = control_of(Rule(keys=("a",), sensitivity=3.0))
    done = joined(run_by(model, feed, control, limits=LIMITS))
    own = np.array([key == b"a" for key in done.keys])
    assert (done.threshold[~own] == plain.threshold[~own]).all()
    free = own & np.isfinite(plain.threshold)
    assert (done.threshold[free] < plain.threshold[free]).all()
    np.testing.assert_array_equal(np.isinf(done.threshold), np.isinf(plain.threshold))


def test_no_evidence_reaches_the_threshold_while_a_key_may_not_fire(model: FleetModel) -> None:
    """A fault begins before the key may fire: it fires where the threshold becomes finite."""
    values = signal(140, 3, 0)
    values[59:] += 300.0
    rows = joined(run(model, rows_of(b"a", values), limits=LIMITS))
    learning = np.isinf(rows.threshold)
    (first, *_) = np.flatnonzero(~learning)
    assert learning[:first].all()
    assert not learning[first:].any()
    assert (rows.evidence[learning] >= model.pipeline.motor.on).any()
    np.testing.assert_array_equal(np.flatnonzero(rows.trigger > 0)[:1], [first])
    assert rows.evidence[first] >= rows.threshold[first]


def test_usual_values_lie_within_their_band_and_do_not_follow_a_fault(
    of_channels: FleetModel,
) -> None:
    quiet, faulty = (joined(run(of_channels, hosts(f), limits=LIMITS)) for f in (False, True))
    own = np.array([key == b"host-1" for key in faulty.keys])
    assert (faulty.lower <= faulty.usual).all()
    assert (faulty.usual <= faulty.upper).all()
    fault = np.flatnonzero(own)[200:230]
    assert (faulty.value[fault, 1] > faulty.upper[fault, 1]).all()
    width = quiet.upper[fault, 1] - quiet.lower[fault, 1]
    for name in ("usual", "lower", "upper"):
        moved = getattr(faulty, name)[fault, 1] - getattr(quiet, name)[fault, 1]
        assert (np.abs(moved) < 0.35 * width).all(), name
    others = np.flatnonzero(~own)
    assert (faulty.usual[others] == quiet.usual[others]).all()


def test_a_channel_that_the_model_does_not_know_has_no_band() -> None:
    """A new key that never sends a channel: nothing is usual for it."""
    one = fit(KNOWN, ("load", "heat"), rows=160)
    one.configure(warmup_score=30, warmup_alarm=40)
    values = signal(80, 2, 9)
    values[:, 1] = np.nan
    rows = joined(run(one, rows_of(b"new", values), limits=LIMITS))
    assert np.isfinite(rows.usual[:, 0]).all()
    for column in (rows.value, rows.usual, rows.lower, rows.upper):
        assert np.isnan(column[:, 1]).all()


def test_each_model_of_profiles_gives_its_own_channels(model: FleetModel) -> None:
    """Samples are those of the slice, also where records of no profile lie between."""
    single = fit((b"q",), ("load",), rows=160)
    profiles = Profiles([("[abc]", model), ("q", single)])
    feeds = [rows_of(key, signal(60, 3, n)) for n, key in enumerate((*KNOWN, b"other", b"q"))]
    feed = interleaved(*feeds)
    whole = feed_into(Run(ProfiledEngine(profiles, None, LIMITS)), feed)
    (step,) = whole.steps
    assert [details.channels for details in step.details] == [("load", "heat", "flow"), ("load",)]
    for details in step.details:
        assert [feed[i].samples[0][0] for i in details.sample.tolist()] == details.keys
    cut = feed_into(Run(ProfiledEngine(profiles, None, LIMITS)), feed, cuts_of(13, len(feed)))
    assert sorted(bits(cut)) == sorted(bits(whole))


def test_bands_go_on_after_a_restart(model: FleetModel, feed: list[Sent]) -> None:
    """The band is part of the row: what a restart reads gives the same rows afterwards."""
    whole = run(model, feed, cuts_of(29, len(feed)), limits=LIMITS)
    half = len(feed) // 2
    first = run(model, feed, [half], limits=LIMITS)
    dirty = first.engine.take_dirty(TP)
    log = dict(zip(dirty.keys, dirty.rows, strict=True))
    second = feed_into(Run(read(Engine(model, None, LIMITS), log)), feed, begin=half)
    assert bits(first) + bits(second) == bits(whole)


def test_rows_of_a_time_without_details_are_read(model: FleetModel, feed: list[Sent]) -> None:
    """Turned on later, the bands begin as the model has them; nothing else is lost."""
    plain = replace(LIMITS, detailed=())
    half = len(feed) // 2
    first = run(model, feed, [half], limits=plain)
    dirty = first.engine.take_dirty(TP)
    log = dict(zip(dirty.keys, dirty.rows, strict=True))
    second = feed_into(Run(read(Engine(model, None, LIMITS), log)), feed, begin=half)
    whole = run(model, feed, limits=plain)
    rest = {key: whole.scores[key][-len(rows) :] for key, rows in second.scores.items()}
    assert second.scores == rest
    assert bits(second)


def test_usual_rows_of_joint_evidence_have_no_shares(touchy: FleetModel, feed: list[Sent]) -> None:
    """They would cost more than all the rest; rows that are told of have them."""
    rows = joined(run(touchy, feed, limits=LIMITS))
    explained = (rows.severity >= 2.0) | rows.firing
    assert np.isnan(rows.contribution[~explained]).all()
    assert rows.contribution[explained].sum(axis=1) == pytest.approx(1.0)
    assert 0 < explained.sum() < len(rows)


def test_events_of_a_touchy_model_carry_their_rows(touchy: FleetModel, feed: list[Sent]) -> None:
    """Anomalies are marked where their events are."""
    done = run(touchy, feed, limits=LIMITS)
    told = sorted((e.key, e.time_us) for e in done.events if e.kind == "anomaly")
    rows = joined(done)
    marked = [(rows.keys[i], int(rows.time_us[i])) for i in np.flatnonzero(rows.anomaly).tolist()]
    assert sorted(marked) == told
    assert {body_of(e)["status"] for e in done.events if e.kind == "anomaly"} == {"firing"}
