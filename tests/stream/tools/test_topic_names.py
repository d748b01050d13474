"""Topics to suggest: all of a small cluster, and the closest of a large one."""

from __future__ import annotations

from stream.tools.topic_names import likely_topics


def test_a_small_cluster_is_listed_without_the_topics_of_kafka() -> None:
    assert likely_topics(["b", "__consumer_offsets", "a"], "c") == "a, b"
    assert likely_topics(["__consumer_offsets"], "c") == "none"


def test_of_a_large_cluster_the_closest_come_first() -> None:
    names = [f"orders-{n}" for n in range(2000)] + ["telemetry", "telemetry.anomalies"]
    text = likely_topics(names, "telemetri")
    assert text.startswith("telemetry, telemetry.anomalies, ")
    assert text.endswith(", and 1,990 more")
