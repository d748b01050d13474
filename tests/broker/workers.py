"""Worker processes under test, and what the log should hold when they are done."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.kafka_client import Record, Send
from tests.broker.conftest import Broker
from tests.broker.counting import EVERY, META_KEY, read_row, value_of
from tests.e2e.short_sessions import SESSION_SECONDS

ROOT = Path(__file__).resolve().parents[2]
_MASK = 2**64 - 1


class WorkerProcess:
    """One worker process.

    Args:
        broker: Where it works.
        topic: Input topic.
        group: Consumer group.
        directory: For its files.
        **options: More keywords of `WorkerConfig`.
    """

    def __init__(
        self, broker: Broker, topic: str, group: str, directory: Path, **options: Any
    ) -> None:
        config = {
            "bootstrap_servers": [broker.bootstrap],
            "topics": [topic],
            "group": group,
            "directory": str(directory),
            "standby_replicas": 0,
            # Real brokers take no shorter session; see `short_sessions` for the embedded one.
            "session_timeout_seconds": 6.0 if broker.real else SESSION_SECONDS,
            "quick_fetches": not broker.real,
            "interval_seconds": 0.3,
            **options,
        }
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.broker.worker_process", json.dumps(config)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._threads = [
            threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._complain, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Any) -> None:
        for line in stream:
            self.lines.append(json.loads(line))

    def _complain(self, stream: Any) -> None:
        for line in stream:
            self.errors.append(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        self.wait(10)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, timeout: float = 60.0) -> int:
        """Exit code."""
        code = self._process.wait(timeout)
        for thread in self._threads:
            thread.join(5)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        return code

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGTERM; it must end with 0."""
        self.signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0, (code, self.tail())

    def said(self, what: str, **values: Any) -> list[dict[str, Any]]:
        """Lines of one sort with these values."""
        return [
            line
            for line in list(self.lines)
            if line["what"] == what and all(line.get(k) == v for k, v in values.items())
        ]

    def until(self, condition: Callable[[], Any], timeout: float = 60.0) -> Any:
        """Wait for a condition while the process lives."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            if self._process.poll() is not None:
                raise AssertionError(f"the worker ended: {self.tail()}")
            time.sleep(0.02)
        raise AssertionError(f"waited {timeout} s in vain: {self.tail()}")

    def running(self) -> Self:
        """Wait until it owns its partitions."""
        self.until(lambda: self.said("phase", phase="running"))
        return self

    def absorbed(self) -> int:
        """Messages processed, as of its last checkpoint."""
        done = self.said("checkpoint")
        return int(done[-1]["messages"]) if done else 0

    def tail(self) -> str:
        """The last it said."""
        return "\n".join([*map(json.dumps, self.lines[-15:]), *self.errors[-25:]])


def make_records(
    count: int, keys: int, partitions: int, seed: int = 7, first: int = 0
) -> list[Send]:
    """Records of seeded values; every 97th is not decodable."""
    rng = random.Random(seed)
    records = []
    for number in range(first, first + count):
        key = rng.randrange(keys)
        value = b"bad" if number % 97 == 0 else value_of(rng.getrandbits(60))
        records.append(Send(b"key-%05d" % key, value, partition=key % partitions))
    return records


def expected(records: Sequence[Send | Record]) -> tuple[dict[bytes, tuple[int, int]], list[bytes]]:
    """(count, digest) of every key, and the bodies of all events, as one run makes them."""
    state: dict[bytes, tuple[int, int]] = {}
    events = []
    for record in records:
        if record.value is None or len(record.value) != 8 or record.key is None:
            continue
        count, digest = state.get(record.key, (0, 7))
        value = int.from_bytes(record.value, "little", signed=True)
        # The engine sees the value as a float64.
        digest = (digest * 1_000_003 + int(float(value))) & _MASK
        state[record.key] = count + 1, digest
        if (count + 1) % EVERY == 0:
            body = {"key": record.key.decode(), "count": count + 1, "digest": digest}
            events.append(json.dumps(body).encode())
    return state, events


def wait_committed(
    worker: WorkerProcess, broker: Broker, changelog: str, messages: int, timeout: float = 120.0
) -> dict[int, dict[str, Any]]:
    """Wait until the meta rows in the changelog account for all messages; gives them.

    Args:
        worker: Worker that absorbs them.
        broker: Broker of the changelog.
        changelog: Its topic.
        messages: Number of messages to account for.
        timeout: Seconds without one more message after which it gives up.
    """
    deadline = time.monotonic() + timeout
    most = -1
    while time.monotonic() < deadline:
        metas = {
            partition: json.loads(value)
            for (partition, key), value in broker.read_changelog(changelog).items()
            if key == META_KEY
        }
        absorbed = sum(sum(meta["counts"].values()) for meta in metas.values())
        if absorbed >= messages:
            return metas
        if absorbed > most:
            most, deadline = absorbed, time.monotonic() + timeout
        if worker._process.poll() is not None:
            raise AssertionError(f"the worker ended: {worker.tail()}")
        time.sleep(0.2)
    raise AssertionError(f"{metas} do not reach {messages}: {worker.tail()}")


def read_events(broker: Broker, topic: str, count: int) -> list[Record]:
    """All events; a transaction's markers reach its partitions a moment after one another."""
    deadline = time.monotonic() + 30
    while True:
        events = broker.consume_all(topic)
        if len(events) >= count or time.monotonic() > deadline:
            return events
        time.sleep(0.05)


def check(
    broker: Broker,
    group: str,
    topic: str,
    records: Sequence[Send],
    metas: dict[int, dict[str, Any]],
    *,
    exactly_once: bool,
) -> dict[str, int]:
    """State bit-equal to one run, all messages accounted for, events complete."""
    log = broker.consume_all(topic)
    assert Counter((r.key, r.value) for r in log) == Counter((r.key, r.value) for r in records)
    state, bodies = expected(log)  # a producer may reorder when it retries; the log is the truth
    rows = broker.read_changelog(f"{group}-state-{topic}-changelog")
    found = {key: read_row(row)[1:] for (_, key), row in rows.items() if key != META_KEY}
    wrong = {key: (found.get(key), want) for key, want in state.items() if found.get(key) != want}
    assert not wrong, f"{len(wrong)} of {len(state)} keys differ, e.g. {list(wrong.items())[:3]}"
    assert found.keys() == state.keys()
    for partition, meta in metas.items():
        counts = meta["counts"]
        assert sum(counts.values()) == meta["absorbed"] + 1 - meta["first_offset"], partition
    refused = sum(len(r.value or b"") != 8 for r in records)
    assert sum(meta["counts"].get("not_json", 0) for meta in metas.values()) == refused
    events = read_events(broker, f"{topic}.triggers", len(bodies))
    by_id: dict[bytes, set[bytes]] = defaultdict(set)
    for event in events:
        by_id[dict(event.headers)["ce_id"]].add(event.value or b"")
    assert all(len(values) == 1 for values in by_id.values()), "one id, two bodies"
    sent = [event.value for event in events]
    lost, foreign = set(bodies) - set(sent), set(sent) - set(bodies)
    assert not lost, f"{len(lost)} of {len(bodies)} events are lost: {sorted(lost)[:3]}"
    assert not foreign, f"{len(foreign)} events no single run makes: {sorted(foreign)[:3]}"
    if exactly_once:
        assert len(sent) == len(bodies), f"{len(sent) - len(bodies)} events twice"
    return {"duplicates": len(sent) - len(bodies), "events": len(bodies)}
