"""A dead letter is taken apart into the record it was, and what is done stays done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from stream.errors import UserError
from stream.kafka.protocol.ports import Outgoing
from stream.records import Reason, Rejected
from stream.tools.dead_letters import (
    REPLAYS_HEADER,
    DeadLetter,
    Progress,
    Selection,
    parse_dead_letter,
)
from stream.tools.redrive import Target, redrive
from tests.stream.kafka.runtime.test_dead_letters import TP, Sink, make

RECORD = SimpleNamespace(
    key=b"k\xff",
    value=b"\x00no json",
    headers=[("traceparent", b"00-1"), ("twice", b"1"), ("twice", b"2"), ("empty", None)],
    timestamp=1_700_000_000_123,
    offset=7,
)


def written(records: Sequence[Any], limit: int = 1 << 30, rate: int = 1000) -> list[Outgoing]:
    """What the worker writes of refused records."""

    async def run() -> list[Outgoing]:
        sink = Sink(limit)
        letters, _, _ = make(sink, rate)
        refused = [Rejected(at, Reason.NOT_JSON, "no JSON") for at in range(len(records))]
        letters.add(TP, records, refused)
        await letters.settle()
        return sink.taken

    return asyncio.run(run())


def read(outgoing: Any) -> DeadLetter:
    """As it is read from the topic."""
    message: Any = SimpleNamespace(
        key=lambda: outgoing.key,
        value=lambda: outgoing.value,
        headers=lambda: outgoing.headers,
        timestamp=lambda: (1, outgoing.timestamp_ms),
    )
    return parse_dead_letter(message)


def test_a_letter_gives_the_record_back_byte_for_byte() -> None:
    """Repeated headers and those without a value too; a second time with one more replay."""
    (first,) = written([RECORD])
    letter = read(first)
    assert (letter.key, letter.value) == (RECORD.key, RECORD.value)
    assert letter.headers == RECORD.headers
    assert letter.timestamp_ms == RECORD.timestamp
    assert (letter.topic, letter.partition) == TP
    assert (letter.reason, letter.replays, letter.defect) == ("not_json", 0, "")
    marked = SimpleNamespace(**{**vars(RECORD), "headers": [*RECORD.headers]})
    marked.headers.append((REPLAYS_HEADER, b"2"))
    again = read(written([marked])[0])
    assert again.headers == RECORD.headers
    assert again.replays == 2


def test_what_was_not_kept_whole_says_so() -> None:
    big = SimpleNamespace(**{**vars(RECORD), "value": b"x" * 100_000})
    assert read(written([big], limit=70_000)[0]).defect == "cut_off"
    assert [read(each).defect for each in written([RECORD] * 3, rate=2)] == [
        "",
        "",
        "coordinates_only",
    ]
    foreign = SimpleNamespace(key=b"k", value=b"v", headers=None, timestamp_ms=0)
    assert (read(foreign).defect, read(foreign).reason) == ("not_a_letter", "unknown")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"defect": "cut_off"}, "cut_off"),
        ({"replays": 3}, "replayed_too_often"),
        ({"topic": "secrets"}, "not_of_an_input"),
        ({"partition": 5}, "no_such_partition"),
        ({"partition": -1}, "no_such_partition"),
    ],
)
def test_a_target_refuses_by_name(change: dict[str, Any], why: str) -> None:
    letter = DeadLetter("not_json", "in", 3, None, b"", [], 0, 0, "")._replace(**change)
    assert Target({"in": 5}).refusal(letter) == why
    if why in {"not_of_an_input", "no_such_partition"}:  # by key, and where we are told to
        assert Target({"other": 2}, "other").refusal(letter) == ""


def test_progress_is_kept_by_reason() -> None:
    """A reason that is further stays further until all are."""
    done = Progress()
    done.advance(("empty",), 11)
    done.advance((), 5)
    assert [done.is_handled("empty", at) for at in (4, 10, 11)] == [True, True, False]
    assert [done.is_handled("no_key", at) for at in (4, 5)] == [True, False]
    done.advance(("empty", "no_key"), 7)  # an older one again
    assert done == Progress(5, {"empty": 11, "no_key": 7})
    done.advance((), 11)
    assert done == Progress(11)


@pytest.mark.parametrize("metadata", ["", "hello", "[]", '{"empty": "x"}', None])
def test_foreign_metadata_leaves_the_offset(metadata: str | None) -> None:
    """Somebody may have set the offset with Kafka's own tools."""
    at = TopicPartition("d", 0, 13, metadata) if metadata else TopicPartition("d", 0, 13)
    assert Progress.from_commit(at) == Progress(13)
    assert Progress.from_commit(TopicPartition("d", 0, -1001)) == Progress()


def test_what_was_sent_is_done_also_where_the_rest_cannot_be_read() -> None:
    (outgoing,) = written([RECORD])
    at, sent = ("dead", 0), []
    committed: list[int] = []

    def reading(*_: Any) -> Iterator[tuple[Any, DeadLetter]]:
        for offset in (4, 5):
            yield SimpleNamespace(offset=lambda offset=offset: offset), read(outgoing)
        raise UserError("in part only")

    log: Any = SimpleNamespace(progress={at: Progress(4)}, read=reading)
    log.commit = lambda place: committed.append(log.progress[place].floor)
    sender: Any = SimpleNamespace(put=sent.append, flush=lambda: None, unflushed=0)
    with pytest.raises(UserError, match="in part only"):
        redrive(log, sender, Target({TP[0]: TP[1] + 1}), Selection())
    assert len(sent) == 2
    assert committed == [6]
