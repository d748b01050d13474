"""Bytewax: a dataflow whose engine is Rust, with a state per key; one worker."""

from __future__ import annotations

from typing import Any

import msgspec

from benchmarks.peers import Job
from benchmarks.peers.progress import PeerProgress
from benchmarks.progress import Reporter


class _OverError(Exception):
    """Enough was read."""


def bytewax(job: Job) -> None:
    """Decode, and count each key's records in its keyed state."""
    import bytewax.operators as op
    from bytewax.connectors.kafka import KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.outputs import DynamicSink, StatelessSinkPartition
    from bytewax.testing import run_main

    progress, decode = PeerProgress(job), msgspec.json.decode
    counts: dict[str, int] = {}

    class Part(StatelessSinkPartition):  # type: ignore[misc]
        def write_batch(self, items: list[tuple[str, int]]) -> None:
            counts.update(items)
            progress.count += len(items)
            if progress.is_over():
                raise _OverError

    class Sink(DynamicSink):  # type: ignore[misc]
        def build(self, *_where: Any) -> Part:
            return Part()

    def keyed(message: Any) -> tuple[str, Any]:
        return message.key.decode(), decode(message.value)

    def count(number: int | None, _value: Any) -> tuple[int, int]:
        number = (number or 0) + 1
        return number, number

    flow = Dataflow("count")
    source = KafkaSource([job.bootstrap], [job.topic], tail=False, batch_size=10_000)
    read = op.input("read", flow, source)
    counted = op.stateful_map("count", op.map("decode", read, keyed), count)
    op.output("out", counted, Sink())
    with Reporter(lambda: progress.count):
        try:
            run_main(flow)
        except BaseException as error:  # its engine wraps what a sink raises
            if not progress.is_over():
                raise RuntimeError("bytewax failed") from error
    progress.print_counts(counts)
