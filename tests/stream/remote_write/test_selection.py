"""Rows that are written: by pattern, in an alert, before it and after it; each one once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream.remote_write._rows import KeyRows
from stream.remote_write._selection import Selection
from stream.settings import Settings
from tests.stream.bridge.fakes import trigger
from tests.stream.remote_write.scored import CHANNELS, SECOND_US, START_US, scored

ROWS, ALERTS = ("telemetry.scores", 0), ("telemetry.triggers", 0)
HOST, OTHER, ALWAYS = b"host-1", b"host-2", b"db-1"
MINUTE = 60


def iso(second: float) -> str:
    return datetime.fromtimestamp(START_US / SECOND_US + second, UTC).isoformat()


class Choice:
    """A selection, and the seconds of the rows that it has chosen of each key."""

    def __init__(self, **own: Any) -> None:
        own = {"keys": "db-*", "before_seconds": 10 * MINUTE, "after_seconds": 5 * MINUTE} | own
        self.selection = Selection(Settings(remote_write=own).remote_write)
        self.seconds: dict[bytes, list[float]] = {}
        self.offset = 0

    def rows(self, *seconds: float, keys: tuple[bytes, ...] = (HOST, OTHER, ALWAYS), **how: Any):
        times = [START_US + round(s * SECOND_US) for s in seconds for _ in keys]
        batch = scored(list(keys) * len(seconds), times)
        self._take(self.selection.rows(ROWS, batch, is_known=how.get("is_known", False)))
        self._take(self.selection.begun())

    def alert(self, second: float, key: bytes = HOST, *, is_last: bool = True, **how: Any) -> str:
        body = trigger(key.decode(), starts=iso(second), ends=iso(how.pop("ends", second)), **how)
        self.offset += 1
        outcome = self.selection.episodes.take(ALERTS, self.offset, key, body, is_known=False)
        if is_last:  # of the records that are read at once
            self._take(self.selection.begun())
        return outcome

    def _take(self, chosen: list[KeyRows]) -> None:
        for keyed in chosen:
            assert len(keyed) == len(keyed.table)
            assert keyed.channels == CHANNELS
            seconds = ((keyed.time_us - START_US) / SECOND_US).tolist()
            self.seconds.setdefault(keyed.key, []).extend(seconds)

    def minutes(self, key: bytes) -> list[float]:
        return [second / MINUTE for second in self.seconds.get(key, [])]


def test_a_pattern_writes_its_keys_and_no_others() -> None:
    choice = Choice()
    choice.rows(0, 60, 120)
    assert choice.minutes(ALWAYS) == [0, 1, 2]
    assert set(choice.seconds) == {ALWAYS}
    assert choice.selection.series == 5 + 4 * len(CHANNELS)


def test_an_alert_writes_the_time_before_it_and_after_it() -> None:
    choice = Choice()
    choice.rows(*(60 * minute for minute in range(20)))
    assert choice.alert(19 * 60) == "firing"
    assert choice.minutes(HOST) == list(range(9, 20))
    choice.rows(20 * 60, 21 * 60)
    assert choice.alert(19 * 60, resolved=True, ends=21 * 60) == "resolved"
    choice.rows(*(60 * minute for minute in range(22, 40)))
    assert choice.minutes(HOST) == list(range(9, 27))
    assert choice.minutes(OTHER) == []


def test_order_of_the_topics_does_not_matter() -> None:
    """A reader behind in the scores gets the triggers of hours first."""
    choice = Choice()
    choice.alert(19 * 60)
    choice.alert(19 * 60, resolved=True, ends=21 * 60)
    choice.rows(*(60 * minute for minute in range(40)))
    assert choice.minutes(HOST) == list(range(9, 27))


def test_a_second_alert_writes_what_lay_between_and_nothing_twice() -> None:
    choice = Choice()
    choice.rows(*(60 * minute for minute in range(20)))
    choice.alert(19 * 60)
    choice.alert(19 * 60, resolved=True, ends=19 * 60)
    choice.rows(*(60 * minute for minute in range(20, 31)))
    choice.alert(30 * 60)
    assert choice.minutes(HOST) == list(range(9, 31))


def test_a_key_with_two_alerts_is_written_until_both_are_over() -> None:
    choice = Choice(after_seconds=0)
    choice.alert(0)
    choice.alert(0, name="EmberLimit")
    choice.alert(0, resolved=True, ends=60)
    choice.rows(*(60 * minute for minute in range(5)))
    assert choice.minutes(HOST) == list(range(5))
    choice.alert(0, name="EmberLimit", resolved=True, ends=240)
    choice.rows(300)
    assert choice.minutes(HOST) == list(range(5))


def test_a_stale_key_shows_the_time_before_it_fell_silent() -> None:
    choice = Choice()
    choice.rows(0, 60)
    choice.alert(240, name="EmberKeyStale")
    assert choice.minutes(HOST) == [0, 1]


@pytest.mark.parametrize(("step", "minutes"), [(60, [0, 1, 2]), (120, [0, 2])])
def test_one_row_of_a_step_is_written(step: float, minutes: list[float]) -> None:
    choice = Choice(step_seconds=step)
    choice.rows(0, 7, 60, 61, 130)
    choice.rows(131)
    assert [second // MINUTE for second in choice.seconds[ALWAYS]] == minutes


def test_rows_from_before_a_restart_are_not_sent_again() -> None:
    """But for those of an alert that is new."""
    choice = Choice()
    choice.rows(0, 60, is_known=True)
    assert choice.seconds == {}
    choice.rows(120)
    assert choice.minutes(ALWAYS) == [2]
    choice.alert(120)
    assert choice.minutes(HOST) == [0, 1, 2]


def test_an_alert_from_before_a_restart_sends_only_what_is_new() -> None:
    choice = Choice()
    body = trigger("host-1", starts=iso(60))
    choice.selection.episodes.take(ALERTS, 5, HOST, body, is_known=True)
    choice.rows(0, 60, is_known=True)
    choice.rows(120)
    assert choice.minutes(HOST) == [2]
    assert choice.selection.episodes.oldest() == {ALERTS: 5}


def test_series_have_a_bound_and_what_finds_no_room_is_counted() -> None:
    series = 5 + 4 * len(CHANNELS)
    choice = Choice(max_series=2 * series, keys="*")
    choice.rows(0, 60)
    assert set(choice.seconds) == {HOST, OTHER}
    # The last channel has no usual value, so no band.
    assert choice.selection.left_out == 2 * (series - 3)
    # A key that stops sending makes room.
    choice.rows(*(60 * minute for minute in range(2, 30)), keys=(HOST,))
    choice.rows(30 * 60, keys=(ALWAYS,))
    assert set(choice.seconds) == {HOST, OTHER, ALWAYS}


def test_memory_has_a_bound_and_what_leaves_is_counted() -> None:
    choice = Choice(memory_mib=1, before_seconds=100_000, keys=())
    rows = 40_000
    choice.rows(*range(rows), keys=(HOST,))
    history = choice.selection.history
    assert 0 < history.nbytes <= 1 << 20
    choice.alert(rows)
    assert len(choice.seconds[HOST]) + history.evicted == rows
    assert choice.seconds[HOST][-1] == rows - 1


def test_old_rows_leave_without_being_counted() -> None:
    choice = Choice(before_seconds=60, keys=())
    for minute in range(50):
        choice.rows(*(60 * minute + second for second in range(60)))
    assert choice.selection.history.evicted == 0
    assert choice.selection.history.nbytes < 5 * 1_024 * 200


def test_keys_that_are_gone_are_forgotten() -> None:
    choice = Choice(before_seconds=60)
    for minute in range(40):
        keys = tuple(b"pod-%d-%d" % (minute, n) for n in range(1_009))
        choice.rows(60 * minute, keys=(*keys, ALWAYS))
    assert len(choice.selection._keys) < 12_000
    assert choice.minutes(ALWAYS) == list(range(40))
    last = b"pod-39-7"
    choice.alert(39 * 60, key=last)
    assert choice.minutes(last) == [39]


def test_a_partition_that_goes_takes_its_keys_along() -> None:
    choice = Choice()
    choice.rows(0)
    choice.alert(0)
    choice.selection.drop(ROWS)
    choice.selection.drop(ALERTS)
    choice.selection.drop_input("telemetry", 0)
    assert (choice.selection.series, choice.selection.keys) == (0, 0)
    assert len(choice.selection.episodes) == 0
    assert choice.selection.history.nbytes == 0


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"status": "firing", "labels": 1}'])
def test_what_is_no_trigger_is_counted(body: bytes) -> None:
    choice = Choice()
    assert choice.selection.episodes.take(ALERTS, 0, HOST, body, is_known=False) == "invalid"


def test_an_empty_batch_changes_nothing() -> None:
    choice = Choice()
    assert choice.selection.rows(ROWS, scored([], []), is_known=False) == []


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.data())
def test_each_row_of_an_alert_is_written_once(data: st.DataObject) -> None:
    """Whatever comes in which pieces: the rows of the windows, each once."""
    choice = Choice(keys=(), before_seconds=3 * 60, after_seconds=2 * 60)
    begin = data.draw(st.integers(0, 30))
    end = data.draw(st.integers(begin, 40))
    cuts = data.draw(st.lists(st.integers(0, 50), max_size=5))
    told = data.draw(st.integers(0, 51))
    edges = sorted({0, 51, *cuts, told})
    for first, last in itertools.pairwise([*edges, 51]):
        if first == told:
            choice.alert(60 * begin, is_last=False)
            choice.alert(60 * begin, resolved=True, ends=60 * end)
        choice.rows(*(60 * minute for minute in range(first, last)))
    oldest = max(0, begin - 3)
    expected = list(range(oldest, min(end + 2, 50) + 1))
    minutes = choice.minutes(HOST)
    assert len(minutes) == len(set(minutes))
    # An alert that comes late finds the rows of the time before it only: older ones have left.
    assert set(minutes) <= set(expected)
    assert set(minutes) >= {m for m in expected if m >= max(told - 3, oldest)}


def test_numbers_beyond_float32_are_missing() -> None:
    batch = scored([ALWAYS], [START_US])
    batch.value[0, 0] = 1e300
    choice = Choice()
    (keyed,) = choice.selection.rows(ROWS, batch, is_known=False)
    assert np.isnan(keyed.table[0, 5])
    assert keyed.samples == 5 + 4 * len(CHANNELS) - 3 - 1


def test_a_threshold_that_no_evidence_reaches_is_left_out() -> None:
    """As a missing number is: the key may not fire yet."""
    batch = scored([ALWAYS], [START_US])
    batch.threshold[0] = np.inf
    (keyed,) = Choice().selection.rows(ROWS, batch, is_known=False)
    assert np.isnan(keyed.table[0, 3])
    assert keyed.samples == 5 + 4 * len(CHANNELS) - 3 - 1
