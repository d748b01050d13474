"""A whole run of the demo, with a stand-in for training and worker."""

from __future__ import annotations

import json
import threading
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from stream.demo import run as run_module
from stream.demo.link import PARTITIONS, TOPIC
from stream.demo.run import Options
from stream.demo.worker import GROUP
from stream.errors import UserError
from stream.records import rfc3339


class FakeWorker:
    """Stand-in worker that reads, commits, and sends the first event of a key twice."""

    def __init__(self, config) -> None:
        text = config.read_text()
        assert f'topics = ["{TOPIC}"]' in text
        self._bootstrap = json.loads(
            next(x for x in text.splitlines() if x.startswith("bootstrap")).split(" = ")[1]
        )
        self.keys: set[bytes] = set()
        self.stopped = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": GROUP})
        consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
        producer = Producer({"bootstrap.servers": self._bootstrap})
        marks: dict[int, int] = {}
        while not self.stopped.is_set():
            for message in consumer.consume(5_000, timeout=0.05):
                marks[message.partition()] = message.offset() + 1
                if message.key() not in self.keys and message.key() == b"db-001":
                    self._emit(producer, message)
                self.keys.add(message.key())
            producer.flush()
            partitions = [TopicPartition(TOPIC, p, o) for p, o in marks.items()]
            if partitions:
                consumer.commit(offsets=partitions, asynchronous=False)
        consumer.close()

    def _emit(self, producer, message) -> None:
        record = json.loads(message.value())
        body = {
            "status": "firing",
            "startsAt": rfc3339(record["ts"]),
            "severity": 4.0,
            "reason": "evidence",
            "top_channels": [
                {"name": "cpu", "value": 1, "expected": None, "share": 1, "direction": "above"}
            ],
            "more": "is ignored",
        }
        for kind in ("triggers", "triggers", "anomalies"):
            producer.produce(
                f"{TOPIC}.{kind}",
                json.dumps(body),
                message.key(),
                headers=[("ce_id", kind.encode())],
            )

    def check(self) -> None:
        """Never fail."""

    def request_stop(self) -> None:
        """As the real one."""
        self.stopped.set()

    def stop(self) -> None:
        """As the real one."""
        self.stopped.set()
        self._thread.join()


@pytest.fixture
def workers(monkeypatch) -> list[FakeWorker]:
    """Replace training and worker; return the workers created."""
    created: list[FakeWorker] = []

    def make(config):
        created.append(FakeWorker(config))
        return created[-1]

    monkeypatch.setattr(run_module, "train", lambda _scenario, folder: folder)
    monkeypatch.setattr(run_module, "DemoWorker", make)
    return created


OPTIONS = Options(seconds=36.0, seed=2, keys=37, history_rows=211)
LATER = time.monotonic() + 1e4  # the time must not be up on a busy machine


@pytest.mark.broker
def test_every_record_is_sent_and_judged(workers):
    """The report counts absorbed records, events (once), and the faults that ended."""
    headlines: list[str] = []
    report = run_module.demo(
        OPTIONS, LATER, headlines.append, lambda *arguments: headlines.append(arguments[-1])
    )
    [worker] = workers
    silences = OPTIONS.live_rows * 38 - report.records
    assert 2 * 50 <= silences <= 2 * 80
    assert len(worker.keys) == 38
    assert any(key.startswith(b"host/") for key in worker.keys)
    assert worker.stopped.is_set()
    assert (report.triggers, report.anomalies) == (1, 1)
    assert report.false_triggers == 1
    assert report.false_triggers_per_10000 == round(1e4 / report.records, 4)
    assert report.faults_injected == 12
    assert report.faults_caught == 0
    assert report.seconds_to_first_catch is None
    assert report.z_score["false_triggers"] <= 1
    assert set(report.z_score["missed_kinds"]) >= {"silent", "correlation", "frequency"}
    assert set(report.by_kind) == {
        "spike",
        "drift",
        "stuck",
        "silent",
        "correlation",
        "frequency",
    }
    assert json.loads(json.dumps(report.as_json()))["records"] == report.records
    assert headlines


@pytest.mark.broker
def test_the_time_is_kept(workers, monkeypatch):
    """At the end of the time, only records sent and faults that ended are evaluated."""

    def may_send(live) -> bool:
        live._link.lag()
        return live._scenario.played < 100

    def clock(live) -> float:
        return 1e6 if live._link.processed == 100 * 38 else 0.0

    monkeypatch.setattr(run_module._Live, "_may_send", may_send)
    monkeypatch.setattr(run_module._Live, "_clock", clock)
    report = run_module.demo(OPTIONS, LATER, print, lambda *_: None)
    assert report.records == 100 * 38
    assert report.faults_injected == 0
    assert workers[0].stopped.is_set()


@pytest.mark.broker
def test_interrupted_it_still_reports_and_ends_the_worker(workers):
    """Ctrl-C in the live part ends that part."""

    def interrupt(_scenario, received, _host, _headline) -> None:
        if received.triggers:
            raise KeyboardInterrupt

    report = run_module.demo(OPTIONS, LATER, print, interrupt)
    assert report.triggers == 1
    assert workers[0].stopped.is_set()


def test_too_short_a_time_is_refused():
    """A run that is too short is refused before anything starts."""
    with pytest.raises(UserError, match="seconds=7") as refused:
        run_module.demo(Options(seconds=7), 0.0, print, lambda *_: None)
    assert refused.value.exit_code == 2


def test_the_time_decides_the_size():
    """A minute has 18 faults; never fewer than two of a kind, never two on one key."""
    assert Options(seconds=60).faults_per_kind == 3
    assert Options(seconds=30).faults_per_kind == 2
    assert Options(seconds=600).faults_per_kind * 6 <= 240 // 2
    assert Options(seconds=60).live_rows == 700
