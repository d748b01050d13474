"""The scores topic: the rows of the backtest, bit for bit, none missing after kills."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kafka_client import Record, Send
from ember_core.data.sources import interleaved
from stream.backtest import backtest
from stream.configure import engine_settings, load_model
from stream.engine import DetailedScores
from stream.scores import CHANNEL_COLUMNS, ROW_COLUMNS, decode
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.broker.small_service import SmallService
from tests.e2e.service import Service, wait_until
from tests.stream.report import small

PARTITIONS = 3
COLUMNS = ("time_us", *ROW_COLUMNS, *CHANNEL_COLUMNS)
Rows = dict[bytes, list[tuple[bytes, ...]]]


def service(broker: Broker, folder: Path, *, guarantee: str = "at_least_once") -> SmallService:
    """A worker whose every scored row is written."""
    small_service = SmallService(broker, folder, PARTITIONS)
    with small_service.config.open("a") as config:
        config.write('[output]\nscores = "all"\n')
    text = small_service.config.read_text()
    settings = f'interval_seconds = 0.3\nguarantee = "{guarantee}"'
    small_service.config.write_text(text.replace("interval_seconds = 0.3", settings, 1))
    if not broker.real:
        broker.create({f"{small_service.topic}.scores": PARTITIONS})
    return small_service


def sends() -> list[Send]:
    """The scored rows of the small data, in order of time."""
    data, out = small.dataset(), []
    for batch in interleaved(data, "scored", 1_000):
        for number, at, row in zip(batch.key_index, batch.time_us, batch.values, strict=True):
            values = dict(zip(small.CHANNELS, row.tolist(), strict=True))
            body = {"ts": int(at) // 1_000_000, "values": values}
            out.append(Send(data.tables[number].key, json.dumps(body).encode()))
    return out


def expected(small_service: SmallService) -> Rows:
    """Rows of every key as a backtest of the same data gives them."""
    settings = Settings.load(small_service.config)
    window, limits = engine_settings(settings)
    limits = replace(limits, detailed=("*",))
    model = load_model(settings, small_service.folder / "model")
    result = backtest(model, small.dataset(), window=window, limits=limits)
    rows: Rows = defaultdict(list)
    for scores in result.scores:
        if scores.details is not None:
            for key, row in bits(scores.details):
                rows[key].append(row)
    return dict(rows)


def bits(rows: DetailedScores) -> list[tuple[bytes, tuple[bytes, ...]]]:
    """Key and bytes of each row."""
    columns = [np.ascontiguousarray(getattr(rows, name)) for name in COLUMNS]
    return [(key, tuple(c[i].tobytes() for c in columns)) for i, key in enumerate(rows.keys)]


def written(small_service: SmallService) -> tuple[Rows, list[Record]]:
    """Rows of every key in the order of its partition, and the messages."""
    messages = small_service.broker.consume_all(f"{small_service.topic}.scores")
    rows: Rows = defaultdict(list)
    for message in sorted(messages, key=lambda m: (m.partition, m.offset)):
        batch = decode(message.value or b"")
        assert (batch.topic, batch.partition) == (small_service.topic, message.partition)
        assert batch.channels == small.CHANNELS
        for key, row in bits(batch):  # type: ignore[arg-type]  # the same columns
            rows[key].append(row)
    return dict(rows), messages


@pytest.mark.broker
def test_scores_of_the_stream_are_those_of_the_backtest(broker: Broker, tmp_path: Path) -> None:
    """In their partitions, each row once, in messages that name their type."""
    small_service = service(broker, tmp_path)
    small_service.run(sends())
    rows, messages = written(small_service)
    assert rows == expected(small_service)
    assert {key for key, _ in small_service.rows().items()} >= set(rows)
    partition_of = {key: partition for key, (partition, _) in small_service.rows().items()}
    for message in messages:
        assert message.key is None
        assert dict(message.headers)["content-type"] == b"application/vnd.apache.arrow.stream"
        assert {partition_of[key] for key in decode(message.value or b"").keys} == {
            message.partition
        }


def _killed(broker: Broker, folder: Path, guarantee: str) -> tuple[Rows, Rows]:
    """Rows of a worker that is killed three times in mid-stream, and those of the backtest."""
    small_service, records = service(broker, folder, guarantee=guarantee), sends()
    part = len(records) // 4 + 1
    with Service(folder, small_service.config, embedded=not broker.real) as worker:
        for begin in range(0, len(records), part):
            broker.produce(small_service.topic, records[begin : begin + part])
            wait_until(
                f"records from {begin}",
                lambda begin=begin: sum(small_service.counts().values()) > begin,
                worker,
            )
            if begin + part < len(records):
                worker.kill()
                worker.start()
        wait_until(
            "all of it",
            lambda: sum(small_service.counts().values()) == len(records),
            worker,
        )
        assert worker.stop() == 0
    return written(small_service)[0], expected(small_service)


@pytest.mark.broker
def test_kills_leave_no_row_out(broker: Broker, tmp_path: Path) -> None:
    """A row may be written twice, with the same bytes."""
    rows, of_backtest = _killed(broker, tmp_path, "at_least_once")
    assert {key: list(dict.fromkeys(own)) for key, own in rows.items()} == of_backtest


@pytest.mark.kafka
def test_kills_leave_each_row_once_with_transactions(kafka: Broker, tmp_path: Path) -> None:
    rows, of_backtest = _killed(kafka, tmp_path, "exactly_once")
    assert rows == of_backtest
