"""Checks of `ember doctor` on the records of the input topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from stream.errors import UserError

from . import channel_checks, format_checks, key_checks, row_checks, time_checks
from .evidence import Evidence, Model, read_newest
from .findings import Check, Cluster

RECORD_CHECKS: tuple[Callable[[Evidence], Iterator[Check]], ...] = (
    key_checks.key_in_record,
    key_checks.key_partitions,
    key_checks.profiles,
    key_checks.known_keys,
    time_checks.kafka_timestamps,
    time_checks.event_times,
    row_checks.shared_times,
    row_checks.interval,
    channel_checks.fit,
    channel_checks.counters,
    channel_checks.unused,
)


def sample(cluster: Cluster, model: Model | None) -> Iterator[Check]:
    """Check records of every input topic.

    Args:
        cluster: Cluster with the input topics.
        model: The model; None if it could not be loaded.
    """
    for topic, partitions in cluster.inputs.items():
        name = f"records of {topic}"
        try:
            records = read_newest(cluster.settings, topic, partitions)
        # Whatever the client raises is the finding: the worker would meet it too.
        except Exception as error:  # noqa: BLE001
            yield unreadable(name, error)
            continue
        if not records:
            fix = "Send something, for example with `ember replay`, and ask again."
            yield Check(name, "skip", "The topic is empty.", fix)
            continue
        evidence = Evidence(cluster.settings, topic, records, model, int(time.time() * 1000))
        yield from examine_records(evidence)


def examine_records(evidence: Evidence) -> Iterator[Check]:
    """Run all checks on the records of a topic."""
    try:
        yield from format_checks.format_of_records(evidence)
        # With the right codec and key the records show what else there is to change.
        evidence = format_checks.with_right_format(evidence)
        yield from format_checks.refusals(evidence)
        yield from key_checks.key_form(evidence)
        evidence = key_checks.with_right_key(evidence)
        for check in RECORD_CHECKS:
            yield from check(evidence)
    except UserError as error:
        yield Check(f"records of {evidence.topic}", "fail", error.message)


def unreadable(name: str, error: Exception) -> Check:
    """Return the finding for records that the worker's client cannot read."""
    if isinstance(error, UserError):
        # The last sentence of an error is the fix.
        detail, _, fix = error.message.rpartition(". ")
        return Check(name, "fail", f"{detail}.", fix)
    if isinstance(error, TimeoutError):
        fix = "Look whether the leaders of its partitions are well, and ask again."
        return Check(name, "fail", "No record came within some seconds.", fix)
    kind = type(error).__name__
    detail = f"The worker's client cannot read the records: {kind}: {error}."
    if "Codec" in kind:
        return Check(name, "fail", detail, "Install the library of that compression.")
    if "Authorization" in kind:
        fix = "Give this user the right to read the topic: see `ember topics plan`."
        return Check(name, "fail", detail, fix)
    return Check(name, "fail", detail, "Look at the brokers, and at kafka.bootstrap_servers.")
