"""Promise 1: what `ember backtest` says of a file is what the stream says of it, bit for bit."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks import kafka_client
from ember_core.data.sources import DataOptions, interleaved, read
from stream.cli import main
from stream.configure import load_model, make_engine
from stream.engine import SliceOffsets
from stream.records import Decoded
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.e2e.conftest import FLAGS, MACHINES
from tests.e2e.service import Service, ember, last_json, wait_until

PARTITIONS = 3
META = b"\x00ember.meta"


class Stage:
    """One broker with an input topic, a worker's settings, and what the backtest expects."""

    def __init__(self, broker: Broker, folder: Path, model: Path, window: str, **more: str) -> None:
        self.broker, self.folder = broker, folder
        self.topic, self.group = broker.name("telemetry"), broker.name("ember")
        self.changelog = f"{self.group}-state-{self.topic}-changelog"
        outputs = {f"{self.topic}.{kind}": 1 for kind in ("anomalies", "triggers", "dead-letters")}
        broker.create({self.topic: PARTITIONS})
        if not broker.real:  # the embedded broker makes no topics when asked
            broker.create({**outputs, self.changelog: PARTITIONS})
        self.config = folder / "ember.toml"
        checkpoint = "".join(f"{k} = {json.dumps(v)}\n" for k, v in more.items())
        self.config.write_text(
            f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{self.group}"\n'
            "session_timeout_seconds = 6\n"
            f'[input]\ntopics = ["{self.topic}"]\nstart = "earliest"\n'
            f'[model]\npath = "{model}"\n'
            f'[window]\nmode = "{window}"\ninterval_seconds = 60\nallowed_lateness_seconds = 180\n'
            f"[checkpoint]\ninterval_seconds = 0.4\n{checkpoint}"
            "[state]\nmax_keys = 1000\nstandby_replicas = 0\n"
            "[http]\nport = 0\n"
        )

    def backtest(self, telemetry: Path, model: Path) -> dict[str, bytes]:
        """Events the backtest of the file expects: id -> body."""
        return self._expected(telemetry, *FLAGS, "--topic", self.topic, "--model", model)

    def backtest_of_topic(self, model: Path) -> dict[str, bytes]:
        """Events the backtest of the topic itself expects: id -> body."""
        return self._expected(f"kafka:{self.topic}", "--model", model)

    def _expected(self, *data: object) -> dict[str, bytes]:
        out = self.folder / "events.jsonl"
        words = ("backtest", *data, "--config", self.config, "--events", out)
        assert main([str(word) for word in words]) == 0
        events = {}
        for line in out.read_bytes().splitlines():
            events[json.loads(line)["id"]] = line.split(b', "body": ', 1)[1][:-1]
        return {i: body for i, body in events.items() if b'"reason":"stale"' not in body}

    def replay(self, telemetry: Path, *more: str, pace: tuple[str, ...] = ("--flat-out",)) -> int:
        """Send the scored rows; returns the number of records."""
        flags = ("--to", self.topic, *pace, "--json", "--config", self.config)
        done = ember("replay", telemetry, *FLAGS, *flags, *more, cwd=self.folder)
        records: int = last_json(done)["records"]
        return records

    def committed(self) -> int:
        """Messages the group has committed."""
        offsets = kafka_client.committed_offsets(self.broker.bootstrap, self.group, self.topic)
        return sum(offset or 0 for offset in offsets)

    def events(self) -> list[tuple[str, bytes]]:
        """Everything published: id and body, stale ones left out (they need all partitions)."""
        records = [
            record
            for kind in ("anomalies", "triggers")
            for record in self.broker.consume_all(f"{self.topic}.{kind}")
        ]
        return [
            (dict(r.headers)["ce_id"].decode(), r.value)
            for r in records
            if b'"reason":"stale"' not in r.value and b'"returned"' not in r.value
        ]

    def counts(self) -> tuple[int, int]:
        """Sum of all outcomes in the meta rows, and of the offsets absorbed."""
        rows = self.broker.read_changelog(self.changelog)
        metas = [json.loads(v) for (_, key), v in rows.items() if key == META]
        total = sum(sum(m["counts"].values()) for m in metas)
        return total, sum(
            m["absorbed"] + 1 - m["first_offset"] for m in metas if m["absorbed"] >= 0
        )

    def state(self) -> dict[bytes, bytes]:
        """Last row of every key."""
        rows = self.broker.read_changelog(self.changelog)
        return {key: value for (_, key), value in rows.items() if key != META}


@pytest.mark.broker
@pytest.mark.parametrize("window", ["count", "time"])
def test_events_of_the_stream_are_those_of_the_backtest(
    broker: Broker, window: str, telemetry: Path, model: Path, tmp_path: Path
) -> None:
    """In both window modes; in time mode from one sample per record, shuffled within lateness."""
    stage = Stage(broker, tmp_path, model, window)
    expected = stage.backtest(telemetry, model)
    assert len(expected) >= 10, "the rows chosen hold faults"
    shuffled = ("--long", "--shuffle-seconds", "150") if window == "time" else ()
    with Service(tmp_path, stage.config, embedded=not broker.real) as service:
        sent = stage.replay(telemetry, *shuffled)
        wait_until("all records", lambda: stage.committed() == sent, service)
        assert service.stop() == 0
    published = stage.events()
    assert len(published) == len(dict(published)), "no event twice without a crash"
    assert dict(published) == expected
    # The embedded broker forgets old records, and a sample per record makes many.
    if broker.real or window == "count":
        assert stage.backtest_of_topic(model) == expected
    _assert_same_memory(stage, telemetry)
    total, absorbed = stage.counts()
    assert total == absorbed == sent


def _assert_same_memory(stage: Stage, telemetry: Path) -> None:
    """Every score leaves its mark in the key's row: the rows are those of the engine on the file.

    But for where a message lay in its partition, whom its clock showed silent, and intervals
    still open, whose place in the row depends on the order in which they were opened.
    """
    settings = Settings.load(stage.config)
    model = load_model(settings)
    options = DataOptions(time="t", time_unit="index", split="split", label="label")
    data = read([telemetry], options).select(model.channels)
    engine, tp, offset = make_engine(settings, model), (stage.topic, 0), 0
    engine.attach(tp)
    for rows in interleaved(data, "scored", 1000):
        n = len(rows.time_us)
        keys = [data.tables[k].key for k in rows.key_index]
        batch = Decoded(keys, rows.time_us, rows.values, np.arange(n, dtype=np.int32), [])
        engine.step(tp, batch, SliceOffsets(np.arange(offset, offset + n), np.full(n, 2**43)))
        offset += n
    streamed = stage.state()
    assert set(streamed) == {table.key for table in data.tables}
    own = {"offset", "seen", "stale", "stale_since"} | {
        name for name in engine.layout.dtype.names if "window_" in name
    }
    for key, row in streamed.items():
        there, here = (
            engine.layout.views(np.frombuffer(bytes_, np.uint8)[None, :].copy())
            for bytes_ in (row, engine.row(tp, key) or b"")
        )
        for name in there.keys() - own:
            assert there[name].tobytes() == here[name].tobytes(), (key, name)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize(
    ("telemetry", "guarantee"),
    [
        ("simulated", "exactly_once"),
        pytest.param("recorded", "at_least_once", marks=pytest.mark.data),
    ],
    indirect=["telemetry"],
)
def test_three_sigkills_change_nothing(
    kafka: Broker, guarantee: str, telemetry: Path, model: Path, tmp_path: Path
) -> None:
    """The worker killed three times in mid-stream: the same events, the same final state."""
    calm = Stage(kafka, _folder(tmp_path, "calm"), model, "count")
    expected = calm.backtest(telemetry, model)
    with Service(calm.folder, calm.config) as service:
        sent = calm.replay(telemetry)
        wait_until("all records", lambda: calm.committed() == sent, service)
        assert service.stop() == 0
    kafka.suffix += "k"
    rough = Stage(kafka, _folder(tmp_path, "rough"), model, "count", guarantee=guarantee)
    expected = rough.backtest(telemetry, model)
    chance = random.Random(guarantee)
    with Service(rough.folder, rough.config) as service, ThreadPoolExecutor() as beside:
        rate = f"{sent / 40:.0f}"  # for long enough that three workers start meanwhile
        sending = beside.submit(rough.replay, telemetry, pace=("--rate", rate))
        killed_at = []
        for turn in range(3):
            mark = sent * (turn + 1) // 8
            wait_until(f"record {mark}", lambda mark=mark: rough.committed() >= mark, service)
            wait_until("a moment", _after(chance.uniform(0.0, 0.5)), service)
            service.kill()
            killed_at.append(rough.committed())
            service.start()
        assert sending.result() == sent
        wait_until("all records", lambda: rough.committed() == sent, service)
        assert service.stop() == 0
    assert killed_at[-1] < sent, "killed in mid-stream"
    published = rough.events()
    assert dict(published) == expected
    for event_id, body in published:
        assert expected[event_id] == body, "a duplicate has the same bytes"
    if guarantee == "exactly_once":
        assert len(published) == len(expected)
    assert rough.state() == calm.state()
    assert len(rough.state()) == len(MACHINES)
    total, absorbed = rough.counts()
    assert total == absorbed == sent


def _folder(base: Path, name: str) -> Path:
    (base / name).mkdir()
    return base / name


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end
