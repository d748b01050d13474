"""Check of `ember doctor` on the topic that brings the model."""

from __future__ import annotations

from .findings import Check, Cluster


def model_topic(cluster: Cluster, topic: str) -> Check:
    """Check that a model topic is compacted and has one partition.

    Args:
        cluster: Cluster.
        topic: Name of the topic.
    """
    name = f"model topic {topic}"
    count = cluster.counts.get(topic)
    if count is None:
        detail = "Not there yet: no model has been published."
        if cluster.settings.learn.enabled:
            return Check(name, "ok", f"{detail} The workers make it, and train one.")
        fix = "`ember model deploy` makes it, or `ember topics create`."
        return Check(name, "warn", detail, fix)
    if count != 1:
        return Check(
            name,
            "fail",
            f"It has {count} partitions. Expected one, so that its bundles have one order.",
            "Delete it, run `ember topics create`, and publish the model again.",
        )
    if check := cluster.not_compacted(name, topic, "the model in service"):
        return check
    return Check(name, "ok", "Compacted, one partition.")
