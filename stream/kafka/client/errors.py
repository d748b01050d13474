"""Kafka's errors for modules that do not speak to a broker themselves."""

from __future__ import annotations

from aiokafka.errors import (
    InvalidMessageError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidMessageError)


def is_retriable(error: KafkaError) -> bool:
    """Return whether the same request may succeed later."""
    return bool(error.retriable)


def is_too_large(error: BaseException) -> bool:
    """Return whether client or broker refused a message for its size."""
    return isinstance(error, _TOO_LARGE)


def is_refused_time(error: BaseException) -> bool:
    """Return whether the broker refused a message for its timestamp."""
    return isinstance(error, InvalidTimestampError)


__all__ = ["KafkaError", "is_refused_time", "is_retriable", "is_too_large"]
