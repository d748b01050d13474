"""Messages of the scores topic: what is written is read back, and what is none is refused."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from stream.scores import ScoreBatch, ScoresError, decode, encode


def score_batch(rows: int = 5, channels: tuple[str, ...] = ("cpu", "memory", "latency")):
    rng = np.random.default_rng(rows)
    wide = rng.normal(size=(5, rows, len(channels)))
    wide[0, : min(rows, 1)] = np.nan
    return ScoreBatch(
        topic="telemetry",
        partition=3,
        channels=channels,
        coverage=0.95,
        keys=[b"host-%d" % (i % 2) for i in range(rows)],
        time_us=1_764_000_000_000_000 + np.arange(rows) * 60_000_000,
        score=rng.normal(size=rows).astype(np.float32),
        severity=rng.uniform(0, 12, rows).astype(np.float32),
        evidence=rng.uniform(0, 9, rows).astype(np.float32),
        threshold=np.full(rows, 3.5, dtype=np.float32),
        firing=rng.random(rows) < 0.5,
        anomaly=rng.random(rows) < 0.5,
        trigger=rng.integers(-1, 2, rows).astype(np.int8),
        value=wide[0],
        usual=wide[1],
        lower=wide[2],
        upper=wide[3],
        contribution=wide[4].astype(np.float32),
    )


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_a_batch_reads_back_as_it_was_written(rows):
    written = score_batch(rows)
    read = decode(encode(written))
    for field in fields(ScoreBatch):
        was, now = getattr(written, field.name), getattr(read, field.name)
        if isinstance(was, np.ndarray):
            assert now.dtype == was.dtype
            np.testing.assert_array_equal(now, was)
        else:
            assert now == was


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xff\xff\xff\x10\x00\x00\x00", b"x" * 100])
def test_a_record_that_is_no_batch_is_refused_with_one_sentence(body):
    with pytest.raises(ScoresError, match="cannot be read"):
        decode(body)


def test_a_table_of_somebody_else_is_refused():
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    table = pa.table({"key": ["a"]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ScoresError, match="cannot be read"):
        decode(sink.getvalue().to_pybytes())
