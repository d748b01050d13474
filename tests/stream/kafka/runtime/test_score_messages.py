"""Messages of scored rows: each row once, in its partition, none too large."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream.engine import DetailedScores
from stream.kafka.runtime.score_messages import ScoreMessages, by_partition
from stream.scores import CHANNEL_COLUMNS, ROW_COLUMNS, decode
from tests.stream.kafka.fakes import make_context

CHANNELS = ("load", "heat", "flow")
TP = ("telemetry", 5)


def details(rows: int) -> DetailedScores:
    rng = np.random.default_rng(rows)
    columns = {
        name: (rng.random(rows) < 0.5).astype(kind)
        if kind is np.bool_
        else rng.integers(-1, 2, rows).astype(kind)
        for name, kind in ROW_COLUMNS.items()
    }
    wide = {
        name: rng.standard_normal((rows, len(CHANNELS))).astype(kind)
        for name, kind in CHANNEL_COLUMNS.items()
    }
    keys = [b"key-%d" % (i * 7 % 11) for i in range(rows)]
    sample = np.arange(rows)
    return DetailedScores(CHANNELS, keys, sample, sample + 10**15, **columns, **wide)


@pytest.mark.parametrize("message_bytes", [1, 1_000, 10_000, 524_288])
def test_rows_come_back_in_order_and_no_message_is_too_large(message_bytes: int) -> None:
    messages = ScoreMessages(make_context().config, message_bytes=message_bytes)
    rows = details(101)
    made = list(messages.of(TP, rows))
    assert sum(message.rows for message in made) == 101
    batches = [decode(message.message.value or b"") for message in made]
    assert [key for batch in batches for key in batch.keys] == rows.keys
    for name in ("time_us", *ROW_COLUMNS, *CHANNEL_COLUMNS):
        column = np.concatenate([getattr(batch, name) for batch in batches])
        assert column.tobytes() == np.ascontiguousarray(getattr(rows, name)).tobytes(), name
    overhead = 4_096  # the schema
    for message, batch in zip(made, batches, strict=True):
        assert len(message.message.value or b"") <= message_bytes + overhead or message.rows == 1
        assert message.message.partition == 5
        assert message.message.key is None
        assert message.message.topic == "telemetry.scores"
        assert (batch.topic, batch.partition, batch.coverage) == ("telemetry", 5, 0.95)


def test_the_topic_is_named_by_the_stream_where_records_are_re_keyed() -> None:
    config = replace(make_context().config, streams={"group-rekey": "telemetry"})
    (message,) = ScoreMessages(config).of(("group-rekey", 2), details(3))
    assert message.message.topic == "telemetry.scores"
    assert decode(message.message.value or b"").topic == "telemetry"


def test_each_partition_of_a_slice_gets_its_rows() -> None:
    """A record may have several samples, and a partition none that is scored."""
    rows = details(9)
    rows.sample = np.array([0, 1, 2, 3, 5, 6, 7, 9, 11])
    message = np.array([0, 0, 1, 2, 2, 3, 4, 6, 6, 7, 8, 8], np.int32)
    partitions = [("telemetry", number) for number in (0, 1, 2, 4)]
    parts = dict(by_partition(rows, message, partitions, [2, 5, 5, 9]))
    found = {tp[1]: part.sample.tolist() for tp, part in parts.items()}
    assert found == {0: [0, 1, 2], 1: [3, 5, 6], 4: [7, 9, 11]}
