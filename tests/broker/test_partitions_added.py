"""Partitions that are added to an input topic under a running worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.conftest import Broker
from tests.broker.test_refusals import grow, refusal
from tests.broker.test_worker import PARTITIONS, Bench
from tests.broker.workers import wait_committed

pytestmark = pytest.mark.broker


def test_it_ends_with_the_sentence_of_the_next_start(broker: Broker, tmp_path: Path) -> None:
    """The consumer notices when it asks for the metadata again; nothing is lost."""
    bench = Bench(broker, tmp_path, 6_000, metadata_seconds=0.5)
    with bench.worker() as worker:
        if broker.embedded is None:
            bench.feed(4_000)
            wait_committed(worker, broker, bench.changelog, 4_000)
            grow(broker.bootstrap, bench.topic, PARTITIONS + 2)
        else:  # it cannot add any, so the topic is made anew, with more
            worker.running()
            broker.embedded.delete_topic(bench.topic)
            broker.embedded.create_topics({bench.topic: PARTITIONS + 2})
        sentence = refusal(worker)
        assert "Traceback" not in "".join(worker.errors)
    assert f"Expected {PARTITIONS + 2} partitions. Received: partitions={PARTITIONS}." in sentence
    assert "ember state rebase" in sentence
    with bench.worker() as worker:
        assert refusal(worker) == sentence
