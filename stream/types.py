"""Types that every package of the service uses."""

from __future__ import annotations

TP = tuple[str, int]
"""Topic and partition; Faust's `TP` and aiokafka's `TopicPartition` compare equal to it."""
