"""Console that is filled without Kafka: a fleet of some hours, with faults, for tests and the page.

    python -m tests.stream.console.filled --port 8080 --live

The values are the same for the same end; the token is `TOKEN`.
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from ember_core.pipeline import FleetModel
from stream.console import event_views
from stream.console.app import make_app
from stream.console.console import Console, Reading
from stream.console.guard import Guard
from stream.console.models import Models
from stream.console.replay import ActivationsTask, Replayer
from stream.console.replay._activations import states_of
from stream.console.replay._task import Task
from stream.console.store import Store
from stream.control import ControlSet, Document, Rule
from stream.correlation.body import IncidentBody, MemberBody
from stream.correlation.trigger import Channel
from stream.kafka.control_topic.catalogue import ControlCatalogue
from stream.kafka.control_topic.publisher import Edit, Stamp, edited, records_of
from stream.keys import key_of
from stream.records import (
    Anomaly,
    ModelRef,
    TopChannel,
    Trigger,
    Window,
    encode_body,
    event_id,
    fingerprint,
    rfc3339,
)
from stream.scores import ScoreBatch
from stream.settings import Settings
from stream.testing.small_model import small_model

TOKEN = "test-token"
USER = "alice"
TOPIC = "telemetry"
CHANNELS = ("cpu", "mem", "errors", "latency_p99", "requests")
LEVELS = np.array([40.0, 60.0, 2.0, 120.0, 900.0])
SPREADS = np.array([6.0, 3.0, 0.8, 15.0, 120.0])
PARTITIONS = 7
END_US = 1_767_312_000_000_000
STEP_US = 30_000_000
THRESHOLD = 3.0
MODEL = ModelRef("filled", "1", "0" * 64)


def key_names(count: int) -> list[str]:
    """Return names of keys, of five kinds."""
    kinds = ("web", "db", "cache", "edge", "pump")
    return [f"{kinds[n % 5]}-{n // 5 + 1:03d}" for n in range(count)]


class Fault:
    """A fault of a key: a channel that leaves its band between two rows."""

    def __init__(self, key: int, channel: int, begin: int, end: int, size: float) -> None:
        self.key, self.channel, self.begin, self.end, self.size = key, channel, begin, end, size


def plan(keys: int, rows: int) -> list[Fault]:
    """Return faults: one in ten keys, three at a time at half time, some that go on."""
    rng = np.random.default_rng(7)
    faults = []
    for key in range(3, keys, 11):
        begin = int(rng.integers(rows // 10, rows * 8 // 10))
        channel, size = int(rng.integers(0, 5)), float(rng.uniform(5, 12))
        faults.append(Fault(key, channel, begin, begin + int(rng.integers(6, 24)), size))
    storm = rows // 2
    faults += [Fault(key, 3, storm + n, storm + 18, 9.0) for n, key in enumerate((1, 6, 16))]
    faults += [Fault(key, 0, rows - 9 + n, rows, 8.0) for n, key in enumerate((0, 5, 22))]
    return [fault for fault in faults if fault.key < keys]


def row_at(time_us: int, keys: int, row: int, faults: Sequence[Fault]) -> dict[str, np.ndarray]:
    """Return the columns of one row of every key."""
    rng = np.random.default_rng([11, row])
    day = np.sin(2 * np.pi * (time_us / 86_400e6 + np.arange(keys)[:, None] / keys))
    scale = 1 + np.arange(keys)[:, None] % 5 / 10
    usual = scale * (LEVELS + 1.5 * SPREADS * day)
    value = usual + SPREADS * rng.normal(size=(keys, len(CHANNELS)))
    severity = np.abs(rng.normal(0, 0.5, keys))
    evidence = np.abs(rng.normal(0, 0.4, keys))
    firing = np.zeros(keys, bool)
    share = np.full((keys, len(CHANNELS)), 0.02)
    for fault in faults:
        if fault.begin <= row < fault.end:
            value[fault.key, fault.channel] += fault.size * SPREADS[fault.channel]
            severity[fault.key] = 2.0 + fault.size / 2
            evidence[fault.key] = THRESHOLD + fault.size * (row - fault.begin + 1) / 6
            firing[fault.key] = row > fault.begin
            share[fault.key, fault.channel] = 0.9
    value[keys // 2, 1] = np.nan  # a channel that a key does not send
    return {
        "score": (12 + severity).astype(np.float32),
        "severity": severity.astype(np.float32),
        "evidence": evidence.astype(np.float32),
        "threshold": np.full(keys, THRESHOLD, np.float32),
        "firing": firing,
        "anomaly": severity > THRESHOLD,
        "trigger": np.zeros(keys, np.int8),
        "value": value,
        "usual": usual,
        "lower": usual - 1.96 * SPREADS,
        "upper": usual + 1.96 * SPREADS,
        "contribution": (share / share.sum(axis=1, keepdims=True)).astype(np.float32),
    }


def batches(
    names: Sequence[str], time_us: int, row: int, faults: Sequence[Fault]
) -> Iterator[ScoreBatch]:
    """Yield the messages of one row of every key, one a partition."""
    columns = row_at(time_us, len(names), row, faults)
    for partition in range(PARTITIONS):
        chosen = np.arange(partition, len(names), PARTITIONS)
        if not len(chosen):
            continue
        yield ScoreBatch(
            topic=TOPIC,
            partition=partition,
            channels=CHANNELS,
            coverage=0.95,
            keys=[names[n].encode() for n in chosen],
            time_us=np.full(len(chosen), time_us, np.int64),
            **{name: column[chosen] for name, column in columns.items()},
        )


def trigger(
    name: str, fault: Fault, status: str, begin_us: int, time_us: int, row: int
) -> tuple[str, bytes]:
    """Return id and body of a trigger of a fault."""
    labels = {"alertname": "EmberFiring", "key": name, "topic": TOPIC}
    channel = CHANNELS[fault.channel]
    body = Trigger(
        status=status,
        labels=labels,
        annotations={
            "summary": f"{name}: {channel} is far above its usual range",
            "description": f"{channel} is {fault.size:.1f} usual deviations above.",
        },
        starts_at=rfc3339(begin_us),
        ends_at=rfc3339(time_us) if status == "resolved" else None,
        fingerprint=fingerprint(labels),
        score=15.0,
        probability=1e-5,
        severity=round(2.0 + fault.size / 2, 3),
        threshold=THRESHOLD,
        window=Window(rfc3339(time_us), rfc3339(time_us), 1, [1]),
        top_channels=[
            TopChannel(
                name=channel,
                value=float(LEVELS[fault.channel] + fault.size * SPREADS[fault.channel]),
                expected=float(LEVELS[fault.channel]),
                share=0.9,
                direction="above",
                usual_low=float(LEVELS[fault.channel] - 1.96 * SPREADS[fault.channel]),
                usual_high=float(LEVELS[fault.channel] + 1.96 * SPREADS[fault.channel]),
            ),
            TopChannel("mem", float(LEVELS[1]), float(LEVELS[1]), 0.1, "above"),
        ],
        model=MODEL,
        reason="evidence",
        peak=round(2.0 + fault.size / 2 + (0.5 if status == "resolved" else 0.0), 3),
        rows=max(1, (time_us - begin_us) // STEP_US),
    )
    return event_id(TOPIC, name.encode(), time_us, row, f"trigger-{status}"), encode_body(body)


def anomaly(name: str, fault: Fault, time_us: int, row: int) -> tuple[str, bytes]:
    """Return id and body of an anomaly of a fault."""
    labels = {"alertname": "EmberAnomaly", "key": name, "topic": TOPIC}
    channel = CHANNELS[fault.channel]
    body = Anomaly(
        status="firing",
        labels=labels,
        annotations={"summary": f"{name}: {channel}", "description": "one improbable row"},
        starts_at=rfc3339(time_us),
        fingerprint=fingerprint(labels),
        score=15.0,
        probability=1e-5,
        severity=round(2.0 + fault.size / 2, 3),
        threshold=THRESHOLD,
        window=Window(rfc3339(time_us), rfc3339(time_us), 1, [1]),
        top_channels=[TopChannel(channel, 1.0, 0.5, 1.0, "above")],
        model=MODEL,
    )
    return event_id(TOPIC, name.encode(), time_us, row, "anomaly"), encode_body(body)


def incident(members: Sequence[tuple[str, int]], ends_us: int | None, number: int) -> bytes:
    """Return the message of an incident of some keys and their begins."""
    labels = {"alertname": "EmberIncident", "incident": f"{number:016x}", "topic": TOPIC}
    begin_us = min(time_us for _, time_us in members)
    body = IncidentBody(
        status="firing" if ends_us is None else "resolved",
        labels=labels,
        annotations={
            "summary": f"{len(members)} keys fire together",
            "description": f"First {members[0][0]}, then {len(members) - 1} more.",
        },
        starts_at=rfc3339(begin_us),
        ends_at=None if ends_us is None else rfc3339(ends_us),
        fingerprint=fingerprint(labels),
        severity=2.4 if number % 2 else 1.2,
        severity_class="critical" if number % 2 else "warning",
        page=bool(number % 2),
        reason="evidence",
        member_count=len(members),
        firing_count=len(members) if ends_us is None else 0,
        members=[
            MemberBody(name, "EmberFiring", rfc3339(time_us), 1.5) for name, time_us in members
        ],
        top_channels=[Channel("latency_p99", 0.8), Channel("cpu", 0.2)],
        common_labels={},
        latest=rfc3339(max(time_us for _, time_us in members)),
        is_storm=False,
        number=1 if ends_us is None else 2,
    )
    return msgspec.json.encode(body)


def fill(store: Store, *, keys: int = 240, hours: float = 3.0, end_us: int = END_US) -> list[str]:
    """Fill a store with a fleet and its faults; return the names of the keys."""
    names, rows = key_names(keys), int(hours * 3_600e6 / STEP_US)
    faults = plan(keys, rows)
    begin_us = end_us - rows * STEP_US

    def at(row: int) -> int:
        return begin_us + row * STEP_US

    for row in range(rows):
        for batch in batches(names, at(row), row, faults):
            store.take_scores(batch)
    for fault in sorted(faults, key=lambda fault: fault.begin):
        name, first = names[fault.key], fault.begin + 1
        for row in range(first, min(first + 3, fault.end)):
            store.take_event(*_split(anomaly(name, fault, at(row), row), "anomaly", name))
        told = trigger(name, fault, "firing", at(first), at(first), first)
        store.take_event(*_split(told, "trigger", name))
        if fault.end < rows:
            ended = trigger(name, fault, "resolved", at(first), at(fault.end), fault.end)
            store.take_event(*_split(ended, "trigger", name))
    storm = [f for f in faults if f.channel == 3 and f.end == rows // 2 + 18]
    if storm:
        members = [(names[f.key], at(f.begin + 1)) for f in storm]
        store.take_incident(incident(members, None, 1))
        store.take_incident(incident(members, at(rows // 2 + 18), 1))
    ongoing = [(names[f.key], at(f.begin + 1)) for f in faults if f.end == rows]
    if ongoing:
        store.take_incident(incident(ongoing, None, 3))
    return names


def _split(event: tuple[str, bytes], kind: str, name: str) -> tuple[str, str, str, int, bytes]:
    return event[0], kind, name, 0, event[1]


class MemoryWriter:
    """Control topic in memory, with the checks of the real publisher."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._catalogue = ControlCatalogue()
        self._offset = itertools.count()

    def publish(self, edits: Sequence[Edit], stamp: Stamp) -> ControlSet:
        """Write changes of documents."""
        control = edited(self._catalogue, edits)
        for key, value in [*records_of(self._catalogue, edits, stamp)]:
            self._catalogue.take(next(self._offset), key, value)
        self._store.take_control(self._catalogue.current, self._catalogue.changes())
        return control


class FixedModels(Models):
    """A small model that is trained when it is asked for."""

    def of(self, settings: Settings, key: bytes | None = None) -> FleetModel:
        """Return the model, whatever the key."""
        with self._lock:
            if self._model is None:
                end_seconds = END_US / 1e6
                self._model = small_model(CHANNELS, interval_seconds=30.0, end_seconds=end_seconds)
            assert isinstance(self._model, FleetModel)
            return self._model


class StoreReplayer(Replayer):
    """Replays of the rows in the store: no Kafka, no process. A what-if leaves out some episodes.

    Args:
        store: The store.
        models: The model.
    """

    def __init__(self, store: Store, models: FixedModels) -> None:
        super().__init__(10.0)
        self._store, self._models = store, models

    def _run(self, task: Task) -> Any:
        if isinstance(task, ActivationsTask):
            number = self._store.table.find(task.key)
            assert number is not None
            points = self._store.scores.series(number, 0, 2**62, 10**6).points
            model = self._models.of(Settings())
            values = points.value.astype(np.float64)
            return states_of(model, task.key, points.time_us, values)
        before = [
            msgspec.to_builtins(event_views.episode_answer(self._store, episode))
            for episode in self._store.episodes.episodes()
            if key_of(episode.key) in task.keys
        ]
        for step in range(5):
            self.on_step("replaying as it is", step / 5)
            time.sleep(self.step_seconds)
        channels = {name for _, rule in task.changed_control.rules for name in rule.channels}
        quiet = channels if task.changed_control != task.control else set()
        after = [e for e in before if e["channels"][0]["name"] not in quiet]
        if task.changed is not task.settings:
            after = after[::2]
        kept = {episode["id"] for episode in after}
        return {
            "seconds": 0.5,
            "rows": 360 * len(task.keys),
            "keys": len(task.keys),
            "before": before,
            "after": after,
            "gone": [episode["id"] for episode in before if episode["id"] not in kept],
            "new": [],
            "pages_before": len(before),
            "pages_after": len(after),
        }

    step_seconds = 0.0


def filled_console(
    *, keys: int = 240, hours: float = 3.0, end_us: int = END_US, **section: object
) -> Console:
    """Return a console that is filled, with writes for `USER` by `TOKEN`."""
    settings = Settings.model_validate(
        {
            "input": {"topics": [TOPIC]},
            "control": {"enabled": True},
            "console": {"token": TOKEN, "user": USER, **section},
        }
    )
    store = Store(settings.console.memory_mib << 20, settings.console.hours)
    fill(store, keys=keys, hours=hours, end_us=end_us)
    writer = MemoryWriter(store)
    rule = Document(
        name="quiet-pumps",
        author="bob",
        reason="pumps are tested on Mondays",
        time="2026-01-01T00:00:00Z",
        body=Rule(keys=("pump-*",), channels=("errors",), ignore=True),
    )
    writer.publish([Edit(rule.key, None, rule)], Stamp("bob", rule.reason, rule.time))
    models = FixedModels()
    return Console(
        settings,
        store,
        Guard(settings.console),
        writer,
        Reading(0, "running", ""),
        models=models,
        replayer=StoreReplayer(store, models),
    )


def _live(console: Console, end_us: int, keys: int, rows: int) -> None:
    """Add a row of every key each second, and an episode each 20 seconds."""
    names = key_names(keys)
    faults: list[Fault] = []
    for row in itertools.count(rows):
        time.sleep(1.0)
        now_us = time.time_ns() // 1000
        for batch in batches(names, now_us, row, faults):
            console.store.take_scores(batch)
        if row % 20 == 0:
            fault = Fault(row * 7 % keys, row % 5, row, row + 15, 9.0)
            faults = [fault]
            told = trigger(names[fault.key], fault, "firing", now_us, now_us, row)
            console.store.take_event(*_split(told, "trigger", names[fault.key]))
            began_us = now_us
        if faults and row == faults[0].end:
            fault = faults[0]
            ended = trigger(names[fault.key], fault, "resolved", began_us, now_us, row)
            console.store.take_event(*_split(ended, "trigger", names[fault.key]))


def main() -> None:
    """Serve a filled console until it is stopped."""
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keys", type=int, default=240)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--live", action="store_true")
    options = parser.parse_args()
    end_us = time.time_ns() // 1000 // STEP_US * STEP_US
    console = filled_console(keys=options.keys, hours=options.hours, end_us=end_us)
    if options.live:
        rows = int(options.hours * 3_600e6 / STEP_US)
        arguments = (console, end_us, options.keys, rows)
        threading.Thread(target=_live, args=arguments, daemon=True).start()
    print(f"http://127.0.0.1:{options.port}/#token={TOKEN}")
    StoreReplayer.step_seconds = 0.4
    app = make_app(console)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
