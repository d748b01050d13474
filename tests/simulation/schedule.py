"""One schedule: a small cluster, its faults, and what has to hold at its end."""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from stream.control import ControlSet
from stream.engine.state.model_version import KEPT
from stream.kafka.config import WorkerConfig
from stream.kafka.protocol.changelog import Changelog
from stream.observer import Observer
from stream.settings import Settings
from stream.types import TP

from .broker import Broker, Log
from .control import ControlLog, Follower, control_set
from .disk import Disk
from .group import Coordinator
from .machine import Machine, Process, StuckError
from .models import MODELS, Publisher, newest, publish_at_once
from .reference import NEVER, Events, Reference, reference
from .tiny import TinyEngine, digest_of, tiny_model
from .worker import Worker

SESSION_SECONDS = 1.5
TRANSACTION_SECONDS = 8.0
END_SECONDS = 200.0
MOST_TURNS = 150_000
KINDS = ("checkpoint", "event", "rows", "offsets", "commit")
"""Moments after which something may happen to a worker."""
TOPIC, OUT = "in", "out"
MODES = ("plain", "transactions", "exactly_once")


class Violation(Exception):
    """Something that may never be."""


class Outcome(NamedTuple):
    """What a schedule came to; `digest` is of everything written, to compare replays."""

    seed: int
    mode: str
    violation: str
    turns: int
    deaths: int
    digest: str


class Schedule:
    """A schedule made from a seed.

    Args:
        seed: All of it follows from this.
        mode: Fixes the guarantee; None leaves it to the seed.
        rated: Rows are rates of intervals.
        models: Models are published meanwhile, and workers take them over.
        control: Documents of operators change meanwhile.
    """

    def __init__(
        self,
        seed: int,
        mode: str | None = None,
        *,
        rated: bool = False,
        models: bool = False,
        control: bool = False,
    ) -> None:
        rng = self.rng = Random(seed)
        self.seed = seed
        chosen = rng.choice(MODES)
        self.mode, self.rated = mode or chosen, rated
        self.machine = Machine(rng)
        self.broker = Broker(self.machine, rng.choice((1, 2, 2, 3)), TRANSACTION_SECONDS)
        self.group = Coordinator(
            self.machine, self.broker, [TOPIC], SESSION_SECONDS, standbys=rng.random() < 0.4
        )
        self.config = replace(
            WorkerConfig.from_settings(Settings()),
            bootstrap_servers=("model:1",),
            group="g",
            topics=(TOPIC,),
            start="earliest",
            snapshot_seconds=0.0,
            session_timeout_seconds=SESSION_SECONDS,
            output={"anomaly": OUT, "trigger": OUT, "dead_letters": "dead"},
            guarantee="exactly_once" if self.mode == "exactly_once" else "at_least_once",
            interval_seconds=rng.choice((0.15, 0.4, 1.0)),
            events_in_flight=rng.choice((3, 10, 1000)),
            dead_letters=False,
        )
        self.faults = rng.randrange(6)
        self.broker.failures = rng.choice((0, 0, 1, 2))
        if models and self.mode == "plain":
            # A worker that dies while it writes leaves rows ahead of the meta row. Its heir notes a
            # change before them: where nothing is atomic, no offset is exact for every key.
            self.faults = self.broker.failures = 0
        # A late row of a suspended worker may stand after compaction where nothing fences: a
        # documented hole of the plain path, so not both in one schedule.
        risky = rng.random() < 0.5
        self._zombies = self.mode != "plain" or risky
        self._compacts = (self.mode != "plain" or not risky) and rng.random() < 0.6
        self._calm = self.faults == 0 and self.broker.failures == 0
        self.ttl_us = rng.choice((0, 0, 4_000_000, 11_000_000))
        copies = rng.choice((0.0, 0.3, 1.0))
        self.disk = Disk() if copies else None  # all workers are on one host
        self.config = replace(self.config, snapshot_seconds=copies)
        self._max_keys = rng.choice((3, 5, 64))
        if self._max_keys == 5:  # a few rows are much then
            self.config = replace(self.config, checkpoint_bytes=400)
        self._control = ControlLog() if control else None
        self._models = models
        self._publishers: list[Publisher] = []
        self._published_models = {0}
        self._publishing: set[Process] = set()
        self._lives = 0
        self._live: dict[Process, Worker] = {}
        self._ending = False
        self.deaths = 0
        self._wrong = ""

    def run(self) -> Outcome:
        """Run it and look at what is left."""
        violation = ""
        try:
            self._plan()
            self.machine.run(self._settled, END_SECONDS, MOST_TURNS)
            if not self._wrong:
                self._stop()
                self.machine.run(self._over, 2 * END_SECONDS, 2 * MOST_TURNS)
            if self._wrong:
                raise Violation(self._wrong)
            self._check()
        except (Violation, StuckError) as wrong:
            violation = f"{type(wrong).__name__}: {wrong}"
        finally:
            for process in list(self.machine.processes):
                process.kill()
                process._bury()
        return Outcome(
            self.seed, self.mode, violation, self.machine.turns, self.deaths, self._digest()
        )

    # -- what happens

    def _plan(self) -> None:
        rng, machine = self.rng, self.machine
        self._to_come = 0
        self._last: dict[Log, int] = {}
        for partition in range(self.broker.partitions):
            log = self.broker.log(TOPIC, partition)
            keys = [b"k%d%d" % (partition, i) for i in range(rng.randrange(1, 6))]
            when = 0.0
            for number in range(rng.randrange(4, 40)):
                when += rng.random() * 0.2 if rng.random() < 0.5 else 0.0
                key, time = rng.choice(keys), number + rng.randrange(3)
                value = b"bad" if rng.random() < 0.04 else b"%d %d" % (time, rng.randrange(1000))
                self._to_come += 1
                come = partial(self._produce, log, key, value)
                machine.at(when, come)
        for _ in range(rng.randrange(1, 4)):
            machine.at(rng.random() * 0.5, self._start)
        for _ in range(rng.randrange(3)):
            machine.at(rng.random() * 5.0, self._start)
        for _ in range(rng.randrange(3)):
            machine.at(rng.random() * 6.0, self._stop_one)
        if self._compacts:
            for _ in range(rng.randrange(1, 6)):
                machine.at(rng.random() * 8.0, self._compact)
        if self._models:
            self._plan_models()
        if self._control is not None:
            for _ in range(rng.randrange(1, 5)):
                write = partial(self._write_control, self._control, rng.randrange(4))
                machine.at(rng.random() * rng.choice((1.0, 2.0, 6.0)), write)

    def _plan_models(self) -> None:
        """Let models be published: one now, others later, some of them at one time."""
        rng, machine = self.rng, self.machine
        publish_at_once(self.broker.log(MODELS, 0), 0)
        when = 0.0
        for number in range(1, 1 + rng.randrange(4)):
            when += rng.choice((0.0, 0.01, 0.1, 1.0, 3.0)) * rng.random()
            self._to_come += 1
            machine.at(when, partial(self._publish, rng.randrange(number + 1)))

    def _publish(self, number: int) -> None:
        """Let a process publish a model; it may die on the way, or follow a certain one only."""
        rng = self.rng
        self._to_come -= 1
        process = Process(self.machine, "publisher", self._published)
        if rng.random() < 0.3:
            process.fuse = int(rng.expovariate(1 / 12))
            process.on_fuse = process.kill
        name = "" if self.mode == "plain" else "g-model"
        self._published_models.add(number)
        publisher = Publisher(self.broker, process, name, number, rng.random() < 0.5)
        self._publishers.append(publisher)
        self._publishing.add(process)
        process.start(publisher.run())

    def _write_control(self, log: ControlLog, number: int) -> None:
        """An operator writes; each worker reads it in its own time."""
        log.write(control_set(number, TOPIC))
        for process, worker in self._live.items():
            self.machine.after(self.rng.random(), partial(self._read_control, process, worker))

    def _read_control(self, process: Process, worker: Worker) -> None:
        if process not in self._live:
            return
        process.call_soon(worker.follow_control)
        if self.faults > 0 and self.rng.random() < 0.4:  # soon after, where it matters most
            self.faults -= 1
            process.on_fuse, process.fuse = process.kill, self.rng.randrange(400)

    def _produce(self, log: Log, key: bytes, value: bytes) -> None:
        self._to_come -= 1
        if self.rng.random() < 0.05:
            log.append(None, None, marker=True)  # of the producer's own transaction
        self._last[log] = log.append(key, value)

    def _compact(self) -> None:
        for topic, partition in sorted(self.broker.logs):
            if topic.endswith("changelog") or topic == MODELS:
                self.broker.log(topic, partition).compact(self.rng.randrange(6))

    def _start(self) -> None:
        if self._ending:
            return
        self._lives += 1
        process = Process(self.machine, f"worker-{self._lives}", self._ended)
        left = self._plan_fault(process)

        def on_request(kind: str) -> None:
            if left and kind == left[0]:
                left[1] -= 1
                if left[1] < 0:
                    process.fuse = left.pop()
                    left.clear()

        worker = Worker(
            process,
            self.broker,
            self.group,
            self.config,
            transactional_id="" if self.mode == "plain" else f"g-{self._lives}",
            on_request=on_request,
            max_keys=self._max_keys,
            ttl_us=self.ttl_us,
            disk=self.disk,
            rated=self.rated,
            follows=self._models,
            control=None if self._control is None else Follower(self._control),
        )
        self._live[process] = worker
        process.start(worker.run())

    def _published(self, process: Process) -> None:
        self._publishing.discard(process)
        if process.code == 2 and not isinstance(process.error, KafkaError):
            self._wrong = self._wrong or f"a publisher broke: {process.error!r}"

    def _newest_model(self) -> int:
        found = newest(self.broker.log(MODELS, 0).committed())
        assert found is not None  # one was published before everything
        return found[0]

    def _plan_fault(self, process: Process) -> list[Any]:
        """What is going to happen to a process: at some callback, or soon after some request."""
        rng = self.rng
        if self.faults <= 0 or rng.random() < 0.2:
            return []
        self.faults -= 1
        suspends = self._zombies and rng.random() < 0.45
        process.on_fuse = (lambda: self._suspend(process)) if suspends else process.kill
        if rng.random() < 0.5:
            process.fuse = int(rng.expovariate(1 / rng.choice((40, 300, 1000))))
            return []
        return [rng.choice(KINDS), rng.choice((0, 0, 1, 2, 5, 9)), rng.randrange(12)]

    def _suspend(self, process: Process) -> None:
        process.suspend(self.rng.choice((0.2, 2.0, 4.0, 9.0)) * (0.5 + self.rng.random()))
        if self.rng.random() < 0.5:
            self.machine.after(self.rng.random(), self._start)

    def _stop_one(self) -> None:
        if not self._ending and self._live:
            self.rng.choice(list(self._live.values())).stop()

    def _ended(self, process: Process) -> None:
        worker = self._live.pop(process)
        words = worker.watch.last_words
        if process.code == 2:
            self._wrong = self._wrong or f"a worker broke: {process.error!r}"
        if "the recovery broke" in words:
            self._wrong = self._wrong or words
        if "rebase" in words:
            self._wrong = self._wrong or f"a start was refused: {words}"
        if process.code == 1 and self._calm:
            self._wrong = self._wrong or f"a worker ended itself in calm weather: {words}"
        if process.code:
            self.deaths += 1
        if not self._ending and (process.code or not self._live):
            self.machine.after(0.05 + self.rng.random(), self._start)

    def _settled(self) -> bool:
        if self._wrong:
            return True
        if self._to_come or self._publishing:
            return False
        if self._models:
            digest = digest_of(self._newest_model())
            if any(w.engine.model.sha256 != digest for w in self._live.values()):
                return False
        offsets = self.broker.offsets
        for p in range(self.broker.partitions):  # asked after every event: the first says no
            at = offsets.get((TOPIC, p))
            if at is None or at[0] <= self._last[self.broker.logs[TOPIC, p]]:
                return False
        return True

    def _stop(self) -> None:
        self._ending = True
        for process, worker in self._live.items():
            process.fuse = -1
            worker.stop()

    def _over(self) -> bool:
        return not self._live and self.broker.idle()

    # -- what has to hold

    def _check(self) -> None:
        written: dict[int, Events] = defaultdict(list)
        for partition in range(self.broker.partitions):
            for record in self.broker.log(OUT, partition).committed():
                headers = dict(record.headers)
                written[int(headers["ember.partition"])].append(
                    (headers["ce_id"].decode(), record.value or b"")
                )
        for partition in range(self.broker.partitions):
            tp = TOPIC, partition
            engine = self._load(tp)
            epochs = self._epochs(engine, tp)
            records = self.broker.log(*tp).records
            first = engine.meta(tp).first_offset if self._models else -1
            expected = reference(
                tp,
                records,
                self.ttl_us,
                rated=self.rated,
                epochs=epochs,
                first=first,
                changes=self._changes(engine, tp),
            )
            seen = written[partition]
            if len(self._published_models) > 1 and self.mode != "exactly_once":
                seen = self._without_repeated(tp, seen, expected.events, epochs)
            self._check_events(expected.events, seen)
            self._check_state(tp, engine, expected)
        if self._models:
            self._check_publications()

    def _without_repeated(
        self, tp: TP, seen: Events, expected: Events, epochs: list[tuple[int, int]]
    ) -> Events:
        """Leave out what a worker had sent before it died without a checkpoint.

        Its heir sends the same events, but with another body where a model was published meanwhile.
        So what any model would have told from any record on may be there as well.
        """
        others = set(seen) - set(expected)
        records, possible = self.broker.log(*tp).records, set[tuple[str, bytes]]()
        if not others:
            return seen
        for offset in range(self.broker.log(*tp).end):
            before = [epoch for epoch in epochs if epoch[0] < offset]
            for number in self._published_models:
                way = [*before, (offset, number)]
                left = reference(tp, records, self.ttl_us, rated=self.rated, epochs=way)
                possible.update(left.events)
        return [event for event in seen if event not in others & possible]

    def _load(self, tp: TP) -> TinyEngine:
        """The state of a partition, as a worker that starts now would have it."""
        engine = TinyEngine(rated=self.rated)
        if self._models:
            engine.switch_model(tiny_model(self._newest_model(), rated=self.rated))
        engine.attach(tp)
        changelog = Changelog(engine, Observer(), on_damaged=_damaged)
        changelog.load(tp, self.broker.log(self.config.changelog(tp[0]), tp[1]).committed())
        engine.migrate(tp)
        return engine

    def _epochs(self, engine: TinyEngine, tp: TP) -> list[tuple[int, int]]:
        """Offsets from which on a model scored a partition, as its meta row has them."""
        if not self._models:
            return [(0, 0)]
        numbers = {digest_of(number): number for number in range(15)}
        epochs = engine.meta(tp).epochs
        if len(epochs) >= KEPT:
            raise Violation(f"{len(epochs)} changes of the model of {tp}")
        found = [(epoch.offset, numbers[epoch.version.model]) for epoch in epochs]
        if found[-1][1] != self._newest_model():  # noted with the next record, and none came
            found.append((NEVER, self._newest_model()))
        return found

    def _changes(self, engine: TinyEngine, tp: TP) -> list[tuple[int, ControlSet]]:
        """Documents of operators by their first offset, as the meta row has them."""
        if self._control is None:
            return []
        changes = []
        for epoch in engine.meta(tp).control_epochs:
            control = self._control.find(epoch.digest)
            assert control is not None
            changes.append((epoch.offset, control))
        offsets = [offset for offset, _ in changes]
        if offsets != sorted(set(offsets)):
            raise Violation(f"documents of {tp} changed at {offsets}")
        return changes

    def _check_publications(self) -> None:
        """Of those that follow one publication only one may be done, where one fences the other."""
        done = [p.after for p in self._publishers if p.is_done and p.after is not None]
        if self.mode != "plain" and len(set(done)) != len(done):
            raise Violation(f"publications that followed the same one: {sorted(done)}")

    def _check_events(self, expected: Events, seen: Events) -> None:
        if self.mode != "exactly_once":
            seen = list(dict.fromkeys(seen))  # a repeated one has the same id and bytes
        missing = [e for e in expected if e not in seen]
        more = [e for e in seen if e not in expected]
        if missing or more or len(seen) != len(expected):
            raise Violation(
                f"events differ: missing {missing[:3]}, not expected {more[:3]}, "
                f"{len(seen)} of {len(expected)}"
            )
        if _by_key(seen) != _by_key(expected):
            raise Violation("events of a key are not in the order of its records")

    def _check_state(self, tp: TP, engine: TinyEngine, expected: Reference) -> None:
        meta = engine.meta(tp)
        if meta.absorbed != expected.absorbed:
            raise Violation(f"absorbed {meta.absorbed} instead of {expected.absorbed} of {tp}")
        offset = self.broker.offsets[tp][0]
        if offset != expected.absorbed + 1:
            raise Violation(f"the group is at {offset} of {tp}, the state at {meta.absorbed}")
        counts = dict(meta.counts)
        if sum(counts.values()) != meta.absorbed + 1 - meta.first_offset:
            raise Violation(f"the counts of {tp} do not add up: {counts}")
        if meta.first_offset != expected.first:
            raise Violation(f"counting of {tp} began at {meta.first_offset}")
        if self.mode != "plain" and counts != expected.counts:
            raise Violation(f"messages of {tp} became {counts} instead of {expected.counts}")
        for key, row in expected.rows.items():
            found = engine.row(tp, key)
            if found != row and not (found is None and key in expected.over):
                raise Violation(f"the state of {key!r} in {tp} differs")
        there = sum(engine.row(tp, key) is not None for key in expected.rows)
        if engine.keys(tp) != there:
            raise Violation(f"{engine.keys(tp)} keys instead of {there} in {tp}")

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for tp, log in sorted(self.broker.logs.items(), key=lambda item: item[0]):
            for record in log.records:
                digest.update(repr((tp, record.offset, record.key, record.value)).encode())
        return digest.hexdigest()[:16]


def _by_key(events: Events) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, _ in events:
        found[name.rsplit("/", 1)[0]].append(name)
    return found


def _damaged(tp: TP, key: bytes, why: str) -> None:
    raise Violation(f"a row of {key!r} in {tp} is damaged: {why}")


def quiet_unraisable() -> None:
    """Closed coroutines of dead processes may end as they like."""
    sys.unraisablehook = lambda _: None
