"""Partitions that share steps: each has what it has alone, bit for bit."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel
from stream.engine import Engine, Limits, SliceOffsets, WindowSpec
from stream.records import Event, Reason
from tests.conftest import examples
from tests.simulation.spill import DictSpill
from tests.stream.engine.conftest import (
    INTERVAL,
    QUICK,
    SECOND,
    START,
    Sent,
    decoded,
    eventful,
    offsets_of,
    sent,
)

TPS = [("telemetry", p) for p in (3, 0, 7)]
SETTINGS: dict[str, tuple[WindowSpec | None, Limits]] = {
    "rows": (None, Limits(max_keys=64, stale_intervals=5.0)),
    "intervals": (
        WindowSpec("time", 2 * INTERVAL * SECOND, 0),
        Limits(max_keys=64, stale_intervals=5.0),
    ),
    "forgetting": (None, Limits(max_keys=64, stale_intervals=5.0, ttl_us=120 * SECOND)),
}


class Alike:
    """An engine, and what came of each partition."""

    def __init__(self, engine: Engine, feeds: dict[Any, list[Sent]]) -> None:
        self.engine, self.feeds = engine, feeds
        self.at = dict.fromkeys(feeds, 0)
        self.events: dict[Any, list[Event]] = defaultdict(list)
        self.scores: dict[Any, list[Any]] = defaultdict(list)
        self.refused: dict[Any, list[Any]] = defaultdict(list)
        for tp in feeds:
            engine.attach(tp)

    def step(self, counts: dict[Any, int]) -> None:
        """So many messages of each partition, in one step."""
        feed: list[Sent] = []
        slices, whose, offsets = [], [], []
        for tp, count in counts.items():
            own = slice(self.at[tp], min(self.at[tp] + count, len(self.feeds[tp])))
            if own.start == own.stop:
                continue
            self.at[tp] = own.stop
            feed += self.feeds[tp][own]
            offsets.append(offsets_of(self.feeds[tp])[own])
            slices.append((tp, own.stop - own.start))
            whose += [tp] * slices[-1][1]
        if not feed:
            return
        batch = decoded(feed, len(self.engine.channels))
        stamps = np.array([m.timestamp_ms for m in feed], dtype=np.int64)
        found = self.engine.step_all(slices, batch, SliceOffsets(np.concatenate(offsets), stamps))
        for event, source in zip(found.events, found.sources, strict=True):
            self.events[whose[source]].append(event)
        s = found.scores
        columns = s.sample, s.time_us, s.score, s.severity, s.anomaly, s.trigger, s.firing
        for sample, *row in zip(*(c.tolist() for c in columns), strict=True):
            key = batch.keys[sample]
            self.scores[whose[batch.message[sample]]].append((key, *row))
        first = {tp: whose.index(tp) for tp in counts if tp in whose}
        for message, reason, _ in found.rejected:
            tp = whose[message]
            self.refused[tp].append((self.at[tp] - counts[tp] + message - first[tp], reason))

    def over(self) -> bool:
        return all(self.at[tp] == len(feed) for tp, feed in self.feeds.items())

    def of(self, tp: Any) -> Any:
        meta = self.engine.meta(tp)
        keys = {message.samples[0][0] for message in self.feeds[tp] if message.samples}
        rows = {key: self.engine.row(tp, key) for key in keys}
        by_key: dict[bytes, list[Any]] = defaultdict(list)
        for key, *row in self.scores[tp]:
            by_key[key].append(row)
        return by_key, self.events[tp], rows, meta.counts, meta.absorbed, meta.clock_us


def feeds_of() -> dict[Any, list[Sent]]:
    """Eventful feeds; no key is in two of them."""
    found = {}
    for number, tp in enumerate(TPS):
        mark = b"+" * number
        found[tp] = [
            Sent(tuple((k + mark, t, v) for k, t, v in m.samples), m.reason, m.gap, m.timestamp_ms)
            for m in eventful(seed=number)
        ]
    return found


def alone(model: FleetModel, feeds: dict[Any, list[Sent]], which: str) -> dict[Any, Any]:
    """Each partition in an engine of its own."""
    found = {}
    for tp, feed in feeds.items():
        one = Alike(Engine(model, *SETTINGS[which]), {tp: feed})
        while not one.over():
            one.step({tp: 29})
        found[tp] = one.of(tp)
    return found


@pytest.mark.parametrize("which", SETTINGS)
@pytest.mark.parametrize("bounded", [False, True])
@settings(QUICK, max_examples=examples(3))
@given(data=st.data())
def test_partitions_in_one_step_are_what_they_are_alone(
    touchy: FleetModel, which: str, bounded: bool, data: st.DataObject
) -> None:
    """Cut anywhere, whatever the others bring: refusals, silences, forgotten keys, full memory."""
    feeds = feeds_of()
    window, limits = SETTINGS[which]
    expected = alone(touchy, feeds, which)
    spill = None
    if bounded:
        limits = Limits(5, limits.future_us, limits.stale_intervals, limits.ttl_us)
        spill = DictSpill
    run = Alike(Engine(touchy, window, limits, spill), feeds)
    most = 1 if bounded else data.draw(st.sampled_from([3, 40, 200]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    while not run.over():
        order = [TPS[i] for i in rng.permutation(len(TPS)).tolist()]
        run.step({tp: int(rng.integers(0, most + 1)) for tp in order})
        if bounded:
            for tp in TPS:
                run.engine.take_dirty(tp)
    for tp in TPS:
        scores, events, rows, *counts = run.of(tp)
        its_scores, its_events, its_rows, *its_counts = expected[tp]
        assert its_events or which == "intervals"
        assert scores == its_scores
        assert counts == its_counts
        if which != "forgetting":
            assert events == its_events
            assert rows == its_rows
        elif not bounded:  # when a forgotten key is swept up is left open
            assert {event.id: event for event in events} == {e.id: e for e in its_events}


def test_a_partition_given_away_in_between_leaves_the_others_alone(model: FleetModel) -> None:
    feeds = feeds_of()
    expected = alone(model, feeds, "rows")
    gone, *kept = TPS
    run = Alike(Engine(model, *SETTINGS["rows"]), feeds)
    for _ in range(3):
        run.step(dict.fromkeys(TPS, 41))
    rows = run.engine.take_dirty(gone)
    run.engine.detach(gone)
    with pytest.raises(KeyError):
        run.step({gone: 1, kept[0]: 0})
    run.at[gone] = 3 * 41
    for _ in range(2):
        run.step(dict.fromkeys(kept, 37))
    run.engine.load(gone, rows.keys, rows.rows)  # and back, as the changelog has it
    while not run.over():
        run.step(dict.fromkeys(TPS, 53))
    for tp in TPS:
        assert run.of(tp) == expected[tp]


def test_a_refused_message_is_counted_where_it_came_from(model: FleetModel) -> None:
    """By its index in the whole fetch; what was absorbed before is not refused again."""
    good = [1.0, 2.0, 3.0]
    bad = Sent(reason=Reason.NOT_JSON)
    feeds = {
        TPS[0]: [sent(b"a", START, good), bad],
        TPS[1]: [bad, sent(b"b", START, good), bad],
        TPS[2]: [sent(b"c", START, good)],
    }
    run = Alike(Engine(model), feeds)
    run.step({TPS[0]: 2, TPS[1]: 3, TPS[2]: 1})
    assert run.refused == {
        TPS[0]: [(1, Reason.NOT_JSON)],
        TPS[1]: [(0, Reason.NOT_JSON), (2, Reason.NOT_JSON)],
    }
    assert [run.engine.meta(tp).counts for tp in TPS] == [
        {"scored": 1, "not_json": 1},
        {"scored": 1, "not_json": 2},
        {"scored": 1},
    ]
    run.at[TPS[1]] = 0
    run.step({TPS[1]: 3})
    assert run.engine.meta(TPS[1]).counts == {"scored": 1, "not_json": 2}


def test_a_key_that_comes_in_two_partitions_of_one_step_stays_in_the_first(
    model: FleetModel,
) -> None:
    message = sent(b"a", START, [1.0, 2.0, 3.0])
    run = Alike(Engine(model), {TPS[0]: [message], TPS[1]: [message]})
    run.step({TPS[0]: 1, TPS[1]: 1})
    assert run.refused == {TPS[1]: [(0, Reason.WRONG_PARTITION)]}
    assert run.engine.meta(TPS[0]).counts == {"scored": 1}
