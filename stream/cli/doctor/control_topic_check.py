"""Check of `ember doctor` on the topic of the documents of operators."""

from __future__ import annotations

import asyncio

from stream.cli.control.remarks import remarks_of
from stream.cli.control.topic import now
from stream.errors import UserError
from stream.kafka.config import WorkerConfig
from stream.kafka.control_topic.source import read_catalogue

from .findings import Check, Cluster


def control_topic(cluster: Cluster) -> Check:
    """Check that the control topic is compacted, has one partition, and can be read.

    Args:
        cluster: Cluster, of settings with a control topic.
    """
    topic = cluster.settings.control_topic
    name = f"control topic {topic}"
    count = cluster.counts.get(topic)
    if count is None:
        detail = "Not there yet: workers go on without documents."
        return Check(name, "warn", detail, "`ember topics create` makes it, or the next start.")
    if count != 1:
        return Check(
            name,
            "fail",
            f"It has {count} partitions. Expected one, so that its documents have one order.",
            "`ember control export`, delete it, run `ember topics create`, and apply them again.",
        )
    if check := cluster.not_compacted(name, topic, "documents in force"):
        return check
    try:
        catalogue = asyncio.run(read_catalogue(WorkerConfig.from_settings(cluster.settings)))
    except UserError as error:
        fix = "`ember topics plan` prints the rights."
        return Check(name, "fail", error.message, fix)
    documents = len(catalogue.current.documents)
    if catalogue.unusable:
        key = next(iter(catalogue.unusable.values())).key
        detail = f"{documents} documents, and {len(catalogue.unusable)} that cannot be used: {key}."
        return Check(name, "warn", detail, "Look at `ember control list`, and remove them.")
    remarks = remarks_of(catalogue.current.documents, now())
    if remark := next((each for each in remarks if each.kind == "calendar_horizon"), None):
        detail = f"{remark.source}: {remark.text}."
        return Check(name, "warn", detail, "Until then it acts as before.")
    return Check(name, "ok", f"Compacted, one partition, {documents} documents.")
