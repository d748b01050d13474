"""The state tools read a changelog as recovery would."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from stream.engine import META_KEY, MetaRow, offset_in
from stream.errors import UserError
from stream.settings import KafkaSection
from stream.tools import state
from stream.tools.state import PartitionState, StateLog, _merge


class Record(Message):
    """A record of a changelog."""

    def __init__(self, key: bytes, value: bytes | None, **headers: bytes) -> None:
        super().__init__(key=key, value=value)
        self._list = [(f"ember.{name}", text) for name, text in headers.items()]

    def headers(self) -> Any:
        return self._list or None


def row(offset: int) -> bytes:
    return bytes(16) + offset.to_bytes(8, "little", signed=True) + bytes(16)


def read(*records: Record) -> PartitionState:
    state = PartitionState(0)
    for record in records:
        _merge(state, record, lambda _key: True)
    return state


def test_the_newest_row_stays_and_a_tombstone_ends_it() -> None:
    state = read(Record(b"a", row(5)), Record(b"a", row(3)), Record(b"b", row(4)))
    assert {key: offset_in(value) for key, value in state.rows.items()} == {b"a": 5, b"b": 4}
    _merge(state, Record(b"a", None), lambda _key: True)
    assert list(state.rows) == [b"b"]


def test_what_a_suspended_worker_writes_late_is_nothing() -> None:
    """Neither a row of a key that was forgotten, nor a tombstone of one that has come back."""
    state = read(
        Record(b"a", row(5)),
        Record(b"a", None, absorbed=b"9"),
        Record(b"a", row(4)),
    )
    assert state.rows == {}
    for record in (Record(b"a", row(12)), Record(b"a", None, absorbed=b"9")):
        _merge(state, record, lambda _key: True)
    assert offset_in(state.rows[b"a"]) == 12


def test_after_a_rebase_no_row_is_late() -> None:
    rebased = MetaRow(rebased=1, absorbed=2).encode()
    state = read(
        Record(b"a", None, absorbed=b"99"),
        Record(b"a", row(-1)),
        Record(b"b", None, absorbed=b"99"),
        Record(META_KEY, rebased, committed=b"7"),
        Record(b"b", row(3)),
    )
    assert set(state.rows) == {b"a", b"b"}
    assert state.committed_before == 7


def test_a_group_whose_broker_is_not_known_yet_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[Any] = [
        KafkaException(KafkaError(KafkaError.NOT_COORDINATOR)),
        SimpleNamespace(members=["worker"]),
        KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)),
    ]

    def result() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = SimpleNamespace(
        describe_consumer_groups=lambda *_, **__: {"g": SimpleNamespace(result=result)}
    )
    monkeypatch.setattr(state, "AdminClient", lambda _: client)
    monkeypatch.setattr(state, "_RETRY_SECONDS", 0.0)
    log: Any = SimpleNamespace(kafka=KafkaSection(group="g"))
    assert StateLog._members(log) == 1
    with pytest.raises(UserError, match="GROUP_AUTHORIZATION_FAILED"):
        StateLog._members(log)
    assert answers == []
