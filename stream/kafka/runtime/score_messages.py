"""Messages of the scores topic, made of the detailed scores of a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import COVERAGE
from stream.engine import DetailedScores
from stream.kafka.config import WorkerConfig
from stream.kafka.protocol.ports import Outgoing
from stream.scores import CHANNEL_COLUMNS, ROW_COLUMNS, ScoreBatch, encode
from stream.types import TP

CONTENT_TYPE: Final = ("content-type", b"application/vnd.apache.arrow.stream")
"""Header of each message: the media type of an Arrow IPC stream."""
MESSAGE_BYTES: Final = 524_288
"""Most bytes of the rows of one message: half of what a broker takes unless told otherwise."""
_ROW_BYTES: Final = 64
"""Bytes of a row beside its key and its channels, rounded up."""

_CHANNEL_BYTES: Final = sum(np.dtype(kind).itemsize for kind in CHANNEL_COLUMNS.values())


class ScoreMessage(NamedTuple):
    """A message, and the number of rows in it."""

    message: Outgoing
    rows: int


class ScoreMessages:
    """Maker of messages: one a model, step and partition, or several where it would be too large.

    Args:
        config: Kafka configuration of the worker.
        message_bytes: Most bytes of the rows of one message.
    """

    def __init__(self, config: WorkerConfig, *, message_bytes: int = MESSAGE_BYTES) -> None:
        self._config, self._message_bytes = config, message_bytes

    def of(self, tp: TP, details: DetailedScores) -> Iterator[ScoreMessage]:
        """Yield the messages of scored rows of one partition; a row is in exactly one.

        Args:
            tp: Partition that the engine reads.
            details: The rows, in order of arrival.
        """
        topic = self._config.output_topic("scores", tp[0])
        row_bytes = _ROW_BYTES + max(map(len, details.keys), default=0)
        row_bytes += len(details.channels) * _CHANNEL_BYTES
        step = max(1, self._message_bytes // row_bytes)
        for begin in range(0, len(details), step):
            part = details.take(np.arange(begin, min(begin + step, len(details))))
            body = encode(self._batch(tp, part))
            # The partition of the input: a reader of some partitions finds all rows of their keys.
            outgoing = Outgoing(topic, None, body, [CONTENT_TYPE], partition=tp[1])
            yield ScoreMessage(outgoing, len(part))

    def _batch(self, tp: TP, details: DetailedScores) -> ScoreBatch:
        columns = {name: getattr(details, name) for name in (*ROW_COLUMNS, *CHANNEL_COLUMNS)}
        return ScoreBatch(
            topic=self._config.streams.get(tp[0], tp[0]),
            partition=tp[1],
            channels=details.channels,
            coverage=COVERAGE,
            keys=details.keys,
            time_us=details.time_us,
            **columns,
        )


def by_partition(
    details: DetailedScores,
    message: NDArray[np.int32],
    partitions: Sequence[TP],
    ends: Sequence[int],
) -> Iterator[tuple[TP, DetailedScores]]:
    """Yield the rows of each partition of a slice that has some.

    Args:
        details: Rows of the slice, in the order of its samples.
        message: Index of the message of each sample, rising.
        partitions: Partitions of the slice, in its order.
        ends: Index behind the last message of each.
    """
    if len(partitions) == 1:
        yield partitions[0], details
        return
    edges = np.searchsorted(message[details.sample], ends)
    begin = 0
    for tp, end in zip(partitions, edges.tolist(), strict=True):
        if end > begin:
            yield tp, details.take(np.arange(begin, end))
        begin = end
