"""Records of several partitions in the order of their timestamps, as far as that can be known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream.kafka.rekey.merge import TimeMerge

TPS = [("in", n) for n in range(3)]


def records(*times: int) -> list[Any]:
    return [SimpleNamespace(offset=n, timestamp=ms) for n, ms in enumerate(times)]


@given(
    logs=st.lists(st.lists(st.integers(-1, 50), max_size=12), min_size=3, max_size=3),
    chunks=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), max_size=40),
    most=st.integers(1, 40),
)
def test_nothing_is_taken_before_what_may_still_come(
    logs: list[list[int]], chunks: list[tuple[int, int]], most: int
) -> None:
    """All is taken once, in the order of each partition; times never fall over all of them."""
    merge = TimeMerge(100)
    merge.open(TPS)
    unread = {tp: records(*log) for tp, log in zip(TPS, logs, strict=True)}
    taken: dict[Any, list[int]] = {tp: [] for tp in TPS}
    latest = -(2**62)

    def take() -> None:
        nonlocal latest
        lagging = [tp for tp in TPS if unread[tp]]
        times = []
        for tp, (batch, rising) in merge.take(lagging, most).items():
            assert rising.tolist() == sorted(rising.tolist())
            assert all(r.timestamp <= ms for r, ms in zip(batch, rising.tolist(), strict=True))
            taken[tp] += [r.offset for r in batch]
            times += [r.timestamp for r in batch]
        if times:
            in_order = all(log == sorted(log) for log in logs)
            assert not in_order or min(times) >= latest
            latest = max(latest, *times)

    for number, count in chunks:
        tp = TPS[number]
        merge.add({tp: unread[tp][:count]})
        unread[tp] = unread[tp][count:]
        take()
    for tp in TPS:
        merge.add({tp: unread[tp]})
        unread[tp] = []
    while len(merge):
        left = len(merge)
        take()
        assert len(merge) <= max(0, left - most)
    for tp, log in zip(TPS, logs, strict=True):
        assert taken[tp] == list(range(len(log)))


def test_more_is_fetched_of_the_partitions_that_hold_others_back() -> None:
    merge = TimeMerge(900)
    merge.open(TPS)
    merge.add({TPS[0]: records(*range(300)), TPS[1]: records(*range(299))})
    assert merge.wanted() == TPS[1:]
    assert merge.empty() == {TPS[2]}
    merge.add({("other", 0): records(1)})
    assert len(merge) == 599


def test_equal_times_do_not_wait_for_each_other() -> None:
    merge = TimeMerge(10)
    merge.open(TPS[:2])
    merge.add({TPS[0]: records(5, 5), TPS[1]: records(5)})
    taken = merge.take([TPS[0], TPS[1]])
    assert {tp: len(batch) for tp, (batch, _) in taken.items()} == {TPS[0]: 2, TPS[1]: 1}


def test_no_more_is_taken_than_asked_for_but_of_one_time() -> None:
    merge = TimeMerge(10)
    merge.open(TPS[:2])
    merge.add({TPS[0]: records(1, 3, 3, 9), TPS[1]: records(2, 3, 4)})
    taken = [{tp: len(batch) for tp, (batch, _) in merge.take([], 3).items()} for _ in range(3)]
    assert taken == [{TPS[0]: 3, TPS[1]: 2}, {TPS[0]: 1, TPS[1]: 1}, {}]
