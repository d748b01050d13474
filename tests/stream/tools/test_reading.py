"""A part of a topic is never taken for the whole."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.cli.doctor import sample
from stream.errors import UserError
from stream.settings import Settings
from stream.tools import reading
from stream.tools.reading import committed, read_range

RANGES = {("state", 0): (2, 5), ("state", 1): (0, 3), ("state", 2): (7, 7)}


def message(partition: int, offset: int, error: int | None = None) -> Any:
    """A record of a partition, or an error in its place."""
    return SimpleNamespace(
        topic=lambda: "state",
        partition=lambda: partition,
        offset=lambda: offset,
        error=lambda: None if error is None else KafkaError(error),
    )


class Fake:
    """A consumer that is sent these batches, then the last one for ever."""

    def __init__(self, batches: Sequence[Sequence[Any]]) -> None:
        self._batches = list(batches)

    def consume(self, *_: Any, **__: Any) -> Sequence[Any]:
        return self._batches.pop(0) if len(self._batches) > 1 else self._batches[0]

    def assign(self, partitions: Any) -> None: ...

    def unassign(self) -> None: ...


def read(*batches: Sequence[Any]) -> list[tuple[int, int]]:
    consumer: Any = Fake(batches)
    return [(m.partition(), m.offset()) for m in read_range(consumer, RANGES)]


WHOLE = [message(0, 2), message(0, 4), message(1, 0)]


def test_a_range_ends_at_its_end_or_where_the_partition_does() -> None:
    found = read(WHOLE, [message(1, 3, KafkaError._PARTITION_EOF)])
    assert found == [(0, 2), (0, 4), (1, 0)]


@pytest.mark.parametrize(
    "after",
    [
        [],
        [message(0, 9)],  # another partition, already read, goes on
        [message(1, 0, KafkaError._TRANSPORT)],
    ],
)
def test_a_broker_that_stalls_gives_no_part_for_the_whole(after: list[Any]) -> None:
    with pytest.raises(UserError, match=r"in part only: .* Received: state-1: 1 of 3\. Look"):
        read(WHOLE, after)


def test_the_doctor_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> None:
        raise UserError("In part only. Look.")

    monkeypatch.setattr(sample, "read_newest", refuses)
    cluster: Any = SimpleNamespace(settings=Settings(), inputs={"a": 1, "b": 1})
    found = [(c.name, c.status, c.fix) for c in sample.sample(cluster, None)]
    assert found == [(f"records of {topic}", "fail", "Look.") for topic in "ab"]


@pytest.mark.parametrize(
    "code", [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS]
)
def test_a_coordinator_that_moves_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    answers: list[Any] = [
        KafkaException(KafkaError(code)),
        [SimpleNamespace(offset=7), SimpleNamespace(offset=-1001)],
    ]

    def ask(*_: Any, **__: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(reading.time, "sleep", lambda _: None)
    assert committed(SimpleNamespace(committed=ask), "in", 2) == [7, None]  # type: ignore[arg-type]
    answers[:] = [KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))]
    with pytest.raises(UserError, match="Group authorization failed"):
        committed(SimpleNamespace(committed=ask), "in", 2)  # type: ignore[arg-type]
