"""Requests that aiokafka 0.14 does not have, in the versions that fencing and topics need."""

from __future__ import annotations

from typing import Any, ClassVar

from aiokafka.protocol.admin import CreateTopicsRequest_v1, CreateTopicsResponse_v3
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

from stream.kafka.protocol.ports import Membership

_NULLABLE = CompactString("utf-8")


class _Uuid:
    """16 bytes, shown as hex; all zero: none."""

    @classmethod
    def encode(cls, value: str) -> bytes:
        return bytes.fromhex(value) if value else bytes(16)

    @classmethod
    def decode(cls, data: Any) -> str:
        # Kafka writes a missing id as sixteen zero bytes.
        raw = data.read(16)
        return raw.hex() if any(raw) else ""

    @classmethod
    def repr(cls, value: str) -> str:
        return value


class TxnOffsetCommitResponseV3(Response):
    """Response of KIP-447."""

    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "errors",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partition_errors",
                    CompactArray(
                        ("partition", Int32), ("error_code", Int16), ("tags", TaggedFields)
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class TxnOffsetCommitRequestV3(RequestStruct):
    """Offsets of a transaction, refused by the group when the member's generation is over."""

    API_KEY = 28
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = TxnOffsetCommitResponseV3
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("group_id", CompactString("utf-8")),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", CompactString("utf-8")),
        ("group_instance_id", _NULLABLE),
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
                        ("metadata", _NULLABLE),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class FencedOffsets(Request[TxnOffsetCommitRequestV3]):
    """Offsets to commit with a transaction, as a member of a generation.

    Args:
        transactional_id: Transactional id of the producer.
        group: Consumer group.
        producer_id: Id that the broker gave the producer.
        producer_epoch: Epoch of the producer.
        membership: Member that took the messages.
        topics: Offsets `(topic, [(partition, offset, metadata)])`.
    """

    API_KEY: ClassVar[int] = 28

    def __init__(
        self,
        *,
        transactional_id: str,
        group: str,
        producer_id: int,
        producer_epoch: int,
        membership: Membership,
        topics: list[tuple[str, list[tuple[int, int, str]]]],
    ) -> None:
        self._head = (transactional_id, group, producer_id, producer_epoch)
        self._membership = membership
        self._topics = topics

    def build(
        self, request_struct_class: type[TxnOffsetCommitRequestV3]
    ) -> TxnOffsetCommitRequestV3:
        """Make the wire form."""
        topics: list[Any] = [
            (topic, [(p, offset, -1, meta, {}) for p, offset, meta in partitions], {})
            for topic, partitions in self._topics
        ]
        member = self._membership
        return request_struct_class(
            *self._head, member.generation, member.member_id, member.instance_id, topics, {}
        )


class MetadataResponseV12(Response):
    """Response with topic ids."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", _NULLABLE),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", _NULLABLE),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", _NULLABLE),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class MetadataRequestV12(RequestStruct):
    """Request by name, which never creates a topic."""

    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = MetadataResponseV12
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", _NULLABLE), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIds(Request[MetadataRequestV12]):
    """Ask for topics with their ids.

    Args:
        topics: Names of the topics.
    """

    API_KEY: ClassVar[int] = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[MetadataRequestV12]) -> MetadataRequestV12:
        """Make the wire form."""
        # An empty id asks by name.
        return request_struct_class([("", name, {}) for name in self._topics], False, False, {})


class CreateTopicsResponseV4(Response):
    """Response of the same form as version 3."""

    API_KEY = 19
    API_VERSION = 4
    SCHEMA = CreateTopicsResponse_v3.SCHEMA


class CreateTopicsRequestV4(RequestStruct):
    """Request of the first version that takes -1 for the broker's default replication."""

    API_KEY = 19
    API_VERSION = 4
    RESPONSE_TYPE = CreateTopicsResponseV4
    SCHEMA = CreateTopicsRequest_v1.SCHEMA


class CreateTopics(Request[CreateTopicsRequestV4]):
    """Create topics.

    Args:
        topics: Topics `(name, partitions, replication, config)`.
        timeout_ms: Time that the broker may take.
    """

    API_KEY: ClassVar[int] = 19

    def __init__(
        self, topics: list[tuple[str, int, int, dict[str, str]]], timeout_ms: int = 20_000
    ) -> None:
        self._topics = topics
        self._timeout_ms = timeout_ms

    def build(self, request_struct_class: type[CreateTopicsRequestV4]) -> CreateTopicsRequestV4:
        """Make the wire form."""
        topics: list[Any] = [
            (name, n, rf, [], list(config.items())) for name, n, rf, config in self._topics
        ]
        return request_struct_class(topics, self._timeout_ms, False)


__all__ = ["CreateTopics", "FencedOffsets", "TopicIds"]
