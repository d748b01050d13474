"""Committed offsets of a group that no open transaction will change (OffsetFetch 7 of KIP-447).

aiokafka 0.14 asks in an older version, whose answer leaves out what an open transaction has sent.
Where the state is in the log, positions come from the state; a re-keyer has nothing but the group.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, ClassVar

from aiokafka import errors as kafka_errors
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from stream.types import TP

_UNSTABLE_OFFSET_COMMIT = 88
_AGAIN_SECONDS = 0.1


class _ResponseV7(Response):
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _RequestV7(RequestStruct):
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _ResponseV7
    SCHEMA = Schema(
        ("group", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class StableOffsets(Request[_RequestV7]):
    """Ask for committed offsets, refused while a transaction may change them.

    Args:
        group: Consumer group.
        topics: Partitions by topic.
    """

    API_KEY: ClassVar[int] = 9

    def __init__(self, group: str, topics: dict[str, list[int]]) -> None:
        self._group = group
        self._topics = topics

    def build(self, request_struct_class: type[_RequestV7]) -> _RequestV7:
        """Make the wire form."""
        topics: list[Any] = [(topic, numbers, {}) for topic, numbers in self._topics.items()]
        return request_struct_class(self._group, topics, True, {})


async def stable_offsets(coordinator: Any, group: str, tps: Iterable[TP]) -> dict[TP, int]:
    """Return committed offsets once no transaction is open that may change them.

    A transaction ends at the latest after its timeout, also where its writer is dead.

    Args:
        coordinator: Coordinator of a consumer of aiokafka.
        group: Consumer group.
        tps: Partitions to ask for.

    Returns:
        Offset by partition; partitions without one are absent.

    Raises:
        KafkaError: If the group refuses the question.
    """
    topics: dict[str, list[int]] = defaultdict(list)
    for topic, partition in tps:
        topics[topic].append(partition)
    while topics:
        await coordinator.ensure_coordinator_known()
        try:
            response = await coordinator._send_req(StableOffsets(group, topics))
            return _offsets(response)
        except kafka_errors.KafkaError as error:
            if not error.retriable and not isinstance(error, _UnstableError):
                raise
            if isinstance(error, kafka_errors.NotCoordinatorForGroupError):
                coordinator.coordinator_dead()
        await asyncio.sleep(_AGAIN_SECONDS)
    return {}


class _UnstableError(kafka_errors.KafkaError):
    """An open transaction may change an offset."""


def _offsets(response: Any) -> dict[TP, int]:
    codes = [response.error_code]
    codes += [code for _, parts, _ in response.topics for *_, code, _ in parts]
    if _UNSTABLE_OFFSET_COMMIT in codes:
        raise _UnstableError("an open transaction may change a committed offset")
    for code in codes:
        if code:
            raise kafka_errors.for_code(code)("committed offsets")
    return {
        (topic, partition): offset
        for topic, parts, _ in response.topics
        for partition, offset, *_ in parts
        if offset >= 0
    }
