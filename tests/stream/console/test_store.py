"""Store of the console: rows, bins, heat map, episodes and documents, within a bound."""

from __future__ import annotations

import numpy as np
import pytest

from stream.console.store import HEAT_STEP_US, Store
from stream.control import Acknowledgement, ControlSet, Document, Silence, documents_for_key
from stream.scores import ScoreBatch
from tests.stream.console import filled

SECOND = 1_000_000
MINUTE = 60 * SECOND
BEGIN = filled.END_US
MIB = 1 << 20


def batch(
    times: np.ndarray, keys: list[bytes], seed: int = 1, channels: tuple[str, ...] = ("a", "b", "c")
) -> ScoreBatch:
    """Rows of some keys at some times, all of random numbers."""
    rng, n, width = np.random.default_rng(seed), len(times), len(channels)
    value = rng.normal(size=(n, width))
    return ScoreBatch(
        topic="t",
        partition=3,
        channels=channels,
        coverage=0.95,
        keys=keys,
        time_us=times.astype(np.int64),
        score=rng.normal(size=n).astype(np.float32),
        severity=np.abs(rng.normal(size=n)).astype(np.float32),
        evidence=np.abs(rng.normal(size=n)).astype(np.float32),
        threshold=np.full(n, 3.0, np.float32),
        firing=rng.random(n) < 0.1,
        anomaly=np.zeros(n, bool),
        trigger=np.zeros(n, np.int8),
        value=value,
        usual=value + 0.1,
        lower=value - 1.0,
        upper=value + 1.0,
        contribution=np.full((n, width), 1 / width, np.float32),
    )


def series_of(store: Store, key: bytes, begin: int, end: int, most: int = 10**6):
    number = store.table.find(key)
    assert number is not None
    return store.scores.series(number, begin, end, most)


def test_every_row_of_a_key_comes_back_in_order():
    store = Store(64 * MIB, 24)
    parts = []
    for n in range(5):
        times = BEGIN + np.arange(11) * SECOND + n * 11 * SECOND
        part = batch(times, [b"k%d" % (i % 2) for i in range(11)], seed=n)
        store.take_scores(part)
        parts.append(part)
    series = series_of(store, b"k1", BEGIN, BEGIN + MINUTE)
    expected = np.concatenate([p.value[1::2] for p in parts]).astype(np.float32)
    assert series.step_us == 0
    np.testing.assert_array_equal(series.points.value, expected)
    times = np.concatenate([p.time_us[1::2] for p in parts])
    np.testing.assert_array_equal(series.points.time_us, times)
    number = store.table.find(b"k1")
    assert store.table.rows[number] == len(times)
    assert store.table.first_us[number] == times[0]
    assert store.table.last_us[number] == times[-1]
    assert store.table.partition[number] == 3


def test_more_rows_than_points_are_bins_with_the_worst_of_each():
    store = Store(64 * MIB, 24)
    times = BEGIN + np.arange(997) * SECOND
    rows = batch(times, [b"k"] * 997)
    store.take_scores(rows)
    series = series_of(store, b"k", BEGIN, BEGIN + 997 * SECOND, 89)
    points, step = series.points, series.step_us
    assert 0 < len(points) <= 89
    bins = times // step
    for place, name in enumerate(np.unique(bins)):
        inside = bins == name
        assert points.time_us[place] == times[inside][-1]
        assert points.severity[place] == rows.severity[inside].max()
        assert points.firing[place] == rows.firing[inside].any()
        np.testing.assert_allclose(points.low[place], rows.value[inside].min(axis=0), rtol=1e-6)
        np.testing.assert_allclose(points.high[place], rows.value[inside].max(axis=0), rtol=1e-6)
        np.testing.assert_allclose(points.value[place], rows.value[inside][-1], rtol=1e-6)


def test_bins_go_on_where_full_rows_were_dropped_for_the_bound():
    """Memory stays within the bound, drops are counted, and bins know what rows knew."""
    store = Store(12 * MIB, 24)
    keys = [b"key-%d" % i for i in range(101)]
    truth: dict[int, float] = {}
    for minute in range(90):
        for tick in range(30):
            time_us = BEGIN + minute * MINUTE + tick * 2 * SECOND
            rows = batch(np.full(101, time_us), keys, seed=minute * 100 + tick)
            store.take_scores(rows)
            slot = time_us // MINUTE
            truth[slot] = max(truth.get(slot, 0.0), float(rows.severity[7]))
    assert store.scores.dropped > 0
    assert store.nbytes <= store.max_bytes
    assert store.scores.taken == 90 * 30 * 101
    begin = BEGIN + 40 * MINUTE
    series = series_of(store, keys[7], begin, BEGIN + 90 * MINUTE)
    assert series.step_us == MINUTE
    severity = dict(
        zip((series.points.time_us // MINUTE).tolist(), series.points.severity, strict=True)
    )
    assert severity == {slot: pytest.approx(v) for slot, v in truth.items() if slot in severity}
    assert len(severity) == 50
    # Older ones have bins of ten minutes.
    old = series_of(store, keys[7], BEGIN, BEGIN + 90 * MINUTE)
    assert old.step_us == 10 * MINUTE
    assert len(old.points) == 9
    assert old.points.severity.max() == pytest.approx(max(truth.values()))


def test_a_partition_that_is_read_later_fills_the_past():
    """Its rows are older than the hour of another partition's, and are there all the same."""
    store = Store(64 * MIB, 24)
    late = np.arange(0, 180) * MINUTE
    store.take_scores(batch(BEGIN + late, [b"new"] * 180))
    store.take_scores(batch(BEGIN + late, [b"old"] * 180, seed=2))
    for key in (b"new", b"old"):
        assert len(series_of(store, key, BEGIN, BEGIN + 180 * MINUTE).points) == 180
    number = store.table.find(b"old")
    store.scores._layouts[("a", "b", "c")].rows.complete_from_us = 2**60
    bins, step = store.scores._layouts[("a", "b", "c")].points(number, BEGIN, BEGIN + 180 * MINUTE)
    assert step == 10 * MINUTE
    assert len(bins) == 18


def test_hours_that_are_over_are_dropped():
    """Full rows go by whole segments, bins by the hour."""
    store = Store(64 * MIB, 2.0)
    for hour in range(5):
        times = BEGIN + hour * 60 * MINUTE + np.arange(60) * MINUTE
        store.take_scores(batch(times, [b"k"] * 60, seed=hour))
    layout = store.scores._layouts["a", "b", "c"]
    assert layout.coarse.oldest_us >= BEGIN + 170 * MINUTE
    assert layout.fine.oldest_us >= BEGIN + 238 * MINUTE
    old = batch(np.array([BEGIN]), [b"k"])
    store.take_scores(old)
    assert store.scores.late == 1


def test_the_heat_map_has_the_worst_of_each_cell_and_says_where_no_row_was():
    store = Store(64 * MIB, 24)
    begin = BEGIN // (2 * HEAT_STEP_US) * 2 * HEAT_STEP_US
    rows = batch(begin + np.array([0, 3, 16, 31]) * SECOND, [b"x", b"x", b"x", b"y"])
    store.take_scores(rows)
    cells = store.scores.cells(begin, 2 * HEAT_STEP_US, 3, np.array([1, 0], np.int32))
    level = np.rint(rows.severity * 20)
    assert cells.tolist() == [[255, int(level[3]), 255], [int(level[:3].max()), 255, 255]]


def test_severity_beyond_the_scale_and_unknown_ones():
    store = Store(64 * MIB, 24)
    rows = batch(np.array([BEGIN, BEGIN]), [b"x", b"y"])
    rows.severity[:] = [99.0, np.nan]
    store.take_scores(rows)
    begin = BEGIN // HEAT_STEP_US * HEAT_STEP_US
    cells = store.scores.cells(begin, HEAT_STEP_US, 1, np.array([0, 1], np.int32))
    assert cells.tolist() == [[253], [255]]


def test_a_key_that_may_not_fire_yet_is_not_severe():
    """Its rows are there, have no severity, and give way to those that count."""
    store = Store(64 * MIB, 24)
    begin = BEGIN // (2 * HEAT_STEP_US) * 2 * HEAT_STEP_US
    times = begin + np.array([0, 1, 16, 17, 31]) * SECOND
    rows = batch(times, [b"x", b"y", b"x", b"y", b"y"])
    rows.severity[:] = [9.0, 9.0, 9.0, 0.5, 9.0]
    rows.firing[:] = False
    rows.threshold[[0, 1, 2]] = np.inf
    store.take_scores(rows)
    x, y = store.table.find(b"x"), store.table.find(b"y")
    numbers = np.array([x, y], np.int32)
    assert store.scores.cells(begin, HEAT_STEP_US, 2, numbers).tolist() == [[254, 254], [254, 10]]
    whole = store.scores.cells(begin, 2 * HEAT_STEP_US, 1, numbers)
    assert whole.tolist() == [[254], [10]]
    assert np.isnan(store.table.severity[x])
    assert np.isnan(store.table.evidence[x])
    assert store.table.evidence[y] == rows.evidence[4]
    np.testing.assert_array_equal(store.scores.worst(), np.float32([np.nan, 9.0]))
    points = series_of(store, b"x", begin, begin + MINUTE).points
    np.testing.assert_array_equal(points.evidence, rows.evidence[[0, 2]])
    assert np.isnan(points.severity).all()
    np.testing.assert_array_equal(rows.severity[:3], np.full(3, 9.0, np.float32))  # not written to


def test_an_episode_counts_whatever_the_threshold_is():
    store = Store(64 * MIB, 24)
    rows = batch(np.array([BEGIN]), [b"x"])
    rows.severity[:], rows.threshold[:], rows.firing[:] = 9.0, np.inf, True
    store.take_scores(rows)
    assert store.table.severity[0] == 9.0


def test_other_channels_are_those_of_the_newer_model():
    store = Store(64 * MIB, 24)
    store.take_scores(batch(BEGIN + np.arange(7) * SECOND, [b"k"] * 7))
    newer = batch(BEGIN + 10 * SECOND + np.arange(5) * SECOND, [b"k"] * 5, channels=("a", "d"))
    store.take_scores(newer)
    series = series_of(store, b"k", BEGIN, BEGIN + MINUTE)
    assert series.channels == ("a", "d")
    assert len(series.points) == 5


def test_many_keys_grow_all_tables():
    store = Store(256 * MIB, 24)
    keys = [b"key-%d" % i for i in range(3_001)]
    for tick in range(2):
        store.take_scores(batch(np.full(3_001, BEGIN + tick * SECOND), keys, seed=tick))
    assert len(store.table) == 3_001
    assert (store.table.rows[:3_001] == 2).all()
    assert len(series_of(store, b"key-3000", BEGIN, BEGIN + MINUTE).points) == 2


def test_episodes_open_grow_and_end_whatever_was_read_first():
    store = Store(16 * MIB, 24)
    name, fault = "web-001", filled.Fault(0, 1, 10, 20, 9.0)
    first = filled.trigger(name, fault, "firing", BEGIN, BEGIN, 10)
    end = filled.trigger(name, fault, "resolved", BEGIN, BEGIN + MINUTE, 20)
    store.take_event(first[0], "trigger", name, 0, first[1])
    store.take_event(first[0], "trigger", name, 0, first[1])  # a duplicate
    assert store.episodes.firing == {name: 1}
    store.take_event(end[0], "trigger", name, 0, end[1])
    assert store.episodes.firing == {}
    (episode,) = store.episodes.of_key(name)
    assert (episode.id, episode.starts_us, episode.ends_us) == (first[0], BEGIN, BEGIN + MINUTE)
    assert episode is store.episodes.find(end[0])
    # The begin was before the hours that are read.
    other = Store(16 * MIB, 24)
    other.take_event(end[0], "trigger", name, 0, end[1])
    (episode,) = other.episodes.of_key(name)
    assert (episode.starts_us, episode.ends_us) == (BEGIN, BEGIN + MINUTE)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'{"labels": 3, "startsAt": "2026-01-01T00:00:00Z"}',
        b'{"labels": {}, "startsAt": "nonsense"}',
        b'{"labels": {}, "startsAt": "2026-01-01T00:00:00Z", "top_channels": [3]}',
        b'{"labels": {}, "startsAt": "2026-01-01T00:00:00Z"' + b" " * 70_000 + b"}",
    ],
)
def test_records_that_are_no_events_are_left_out(raw):
    store = Store(16 * MIB, 24)
    store.take_event("id", "trigger", "k", 0, raw)
    assert not list(store.episodes.episodes())
    assert not len(store.table)


def test_documents_are_found_by_event_and_key():
    store = Store(16 * MIB, 24)
    fault = filled.Fault(0, 1, 10, 20, 9.0)
    event_id, body = filled.trigger("web-001", fault, "firing", BEGIN, BEGIN, 10)
    store.take_event(event_id, "trigger", "web-001", 0, body)
    (episode,) = store.episodes.of_key("web-001")
    time = "2026-01-01T00:00:01Z"

    def document(name, body):
        return Document(name=name, author="ada", time=time, body=body)

    wanted = document("s", Silence(until="2099-01-01T00:00:00Z", keys=("web-*",), channels=("m*",)))
    control = ControlSet.of(
        [
            document("x", Acknowledgement(event=event_id[:12])),
            document("over", Silence(until="2020-01-01T00:00:00Z")),
            document("other", Silence(until="2099-01-01T00:00:00Z", channels=("cpu",))),
            wanted,
        ]
    )
    store.take_control(control, [])
    assert store.documents.acknowledgement(episode).name == "x"
    assert store.documents.silence(episode) == wanted
    assert store.documents.feedback(episode) is None
    event_ids = set(episode.bodies)
    documents = documents_for_key(store.documents.control, None, "web-001", event_ids)
    assert {d.name for d in documents} == {"s", "over", "other"}
    documents = documents_for_key(store.documents.control, None, "db-001")
    assert {d.name for d in documents} == {"over", "other"}
