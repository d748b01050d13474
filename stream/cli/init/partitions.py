"""Choice whether to re-key: by the partitions that the records of a stream key lie in."""

from __future__ import annotations

from collections import Counter, defaultdict

from stream.cli.doctor.evidence import Evidence
from stream.cli.doctor.key_checks import RANDOM_FROM


def needs_rekeying(evidence: Evidence, partitions: int) -> tuple[bool, str]:
    """Tell if records of a stream key lie in several partitions, and the reason in words.

    Args:
        evidence: Records, read with the key that was chosen.
        partitions: Number of partitions of the topic; 0: unknown.
    """
    if partitions == 1:
        return False, "the topic has one partition"
    if not partitions:
        return False, "a file of values has no partitions: set rekey where a key is in several"
    reading = evidence.samples
    partitions_of: dict[bytes, Counter[int]] = defaultdict(Counter)
    for number, key in enumerate(reading.decoded.keys):
        partitions_of[key][reading.partition_of(number)] += 1
    scattered = sum(len(numbers) > 1 for numbers in partitions_of.values())
    if scattered:
        return True, f"{scattered} of {len(partitions_of)} keys are in several partitions"
    # A producer without keys fills one partition after the other: few records show one only.
    has_keys = any(record.key for record in evidence.records)
    messages = Counter(reading.decoded.keys)
    if not has_keys and partitions_of and min(messages.values()) < RANDOM_FROM:
        return True, "records without a Kafka key go to any partition"
    return False, f"each of {len(partitions_of)} keys is in one partition"
