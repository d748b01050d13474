"""A service on a real Kafka, disturbed in every way there is; recorded telemetry, real models.

The undisturbed run is that of codec and engine over the same log: events by id and body, rows of
state bit for bit, and the counts of every partition's meta row.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import kafka_client
from benchmarks.kafka_client import Send
from benchmarks.kafka_server import RealKafka
from stream.configure import load_model
from stream.settings import Settings
from tests.e2e.service import ROOT

from . import releases, rules, truth
from .cluster import GROUP, KINDS, TOPIC, Cluster, a_moment
from .fleet import BEGIN_MS, STEP_MS, RecordedFleet
from .frame import Refuted

SESSION_SECONDS = 6.0
FENCED = "This worker is fenced"
"""What a worker's last words begin with where it found that others work on without it."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """How large, and how rough."""
    parser.add_argument(
        "--guarantee", choices=("at_least_once", "exactly_once"), default="at_least_once"
    )
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--rows", type=int, default=120, help="of each key")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument(
        "--rekeyed", type=int, default=0, help="partitions to re-key to, from keyless ones; 0: none"
    )
    parser.add_argument("--kills", type=int, default=30, help="SIGKILLs at random moments")
    parser.add_argument("--joins", type=int, default=10, help="joins and leaves of a second worker")
    parser.add_argument("--broker-restarts", type=int, default=3, help="every other one by SIGKILL")
    parser.add_argument("--stops", type=int, default=2, help="SIGSTOPs beyond the group's timeout")
    parser.add_argument(
        "--rules",
        type=int,
        default=0,
        help="changes of rules and feedback, every other while nobody works",
    )
    parser.add_argument(
        "--upgrades", type=int, default=0, help="changes between today's release and another one"
    )
    parser.add_argument(
        "--other-release",
        default=releases.LAST,
        help="the other one: a wheel, or a revision in git (default: %(default)s)",
    )
    parser.add_argument("--compiled", action="store_true", help="workers run compiled stages")
    parser.add_argument("--per-second", type=float, default=3_000.0, help="records sent")
    parser.add_argument("--keep", help="folder for settings and logs, not taken away")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Disturb, and compare.

    Raises:
        Refuted: If anything is not as undisturbed.
    """
    rng = random.Random(options.seed)
    fleet = RecordedFleet(options.keys, options.rows, options.seed)
    scratch = Path(options.keep or tempfile.mkdtemp(prefix="ember-prove-"))
    scratch.mkdir(exist_ok=True)
    try:
        _say("training")
        fleet.model().save(scratch / "model")
        if options.compiled:  # beforehand: many workers live for less long than the compiler takes
            os.environ.setdefault("NUMBA_CACHE_DIR", str(scratch / "compiled"))
            _say("compiling")
            subprocess.run([sys.executable, "-m", "ember_core.pipeline.compiled"], check=True)
        with RealKafka() as kafka:
            cluster = Cluster(
                kafka,
                scratch,
                scratch / "model",
                options.partitions,
                options.rekeyed,
                control=options.rules > 0,
                compiled=None if options.upgrades else options.compiled,
                interval_seconds=0.4,
                guarantee=options.guarantee,
            )
            try:
                return Series(cluster, fleet, rng, options).run()
            finally:
                for worker in cluster.everyone:
                    if worker.service.alive():
                        worker.kill()
    finally:
        if not options.keep:
            shutil.rmtree(scratch, ignore_errors=True)


class Series:
    """The disturbances, one after another in an order that the seed chooses."""

    def __init__(
        self,
        cluster: Cluster,
        fleet: RecordedFleet,
        rng: random.Random,
        options: argparse.Namespace,
    ) -> None:
        self.cluster, self.rng, self.options = cluster, rng, options
        self.sends = keyless(fleet.sends(), options) if options.rekeyed else fleet.sends()
        self.total = options.keys * options.rows  # and some damaged ones
        self.done: Counter[str] = Counter()
        self.other: Path | None = None  # code of the other release
        self.seen: set[tuple[int, int]] = set()  # in the changelog, before the cleaner

    def run(self) -> dict[str, Any]:
        """All of it."""
        options, cluster = self.options, self.cluster
        plan = [
            *[self.kill] * options.kills,
            *[self.join_and_leave] * options.joins,
            *[self.restart_broker] * options.broker_restarts,
            *[self.suspend] * options.stops,
            *[self.change_rules] * options.rules,
            *[self.upgrade] * options.upgrades,
        ]
        if options.upgrades:
            _say("unpacking the other release")
            self.other = releases.unpacked(options.other_release, cluster.folder / "release")
        self.rng.shuffle(plan)
        # The last tenth comes after everything, to show what was remembered.
        chunk = int(0.85 * self.total) // max(1, len(plan))
        self.first = cluster.worker("first", self.other)  # the group begins under the other one
        self._start()
        for number, disturb in enumerate(plan, 1):
            _say(f"{number} of {len(plan)}: {disturb.__name__}, {cluster.committed():,} committed")
            cluster.feed(self.sends, chunk, options.per_second)
            disturb()
            self.done[disturb.__name__] += 1
        return self._finish()

    def _start(self) -> None:
        self.cluster.feed(self.sends, self.total // 20, self.options.per_second)
        self.cluster.goes_on()

    # -- disturbances

    def kill(self) -> None:
        """SIGKILL while it works, or while it starts and recovers; another takes its place."""
        if self.rng.random() < 0.75:
            self.cluster.goes_on()
            a_moment(self.rng, 1.5)
        else:
            a_moment(self.rng, 5.0)
        self.first.kill()
        self.first.start()

    def change_rules(self) -> None:
        """Other rules and feedback, while the worker works or is dead; it often dies soon after."""
        number = self.done["change_rules"]
        self.cluster.goes_on()
        dies = number % 2 == 1
        if dies:
            self.first.kill()
        rules.apply_some(self.rng, self.cluster.config, number)
        if dies:
            self.first.start()
        elif self.rng.random() < 0.7:
            a_moment(self.rng, 2.5)
            self.first.kill()
            self.first.start()

    def join_and_leave(self) -> None:
        """A second worker takes half of the partitions, and gives them back."""
        second = self.cluster.worker(f"second-{self.done['join_and_leave']}")
        self.cluster.until("the second's share", lambda: second.said('"phase": "running"'))
        a_moment(self.rng, 3.0)
        self.cluster.dismiss(second)
        if second.service.alive():
            second.stop()

    def upgrade(self) -> None:
        """One worker after another changes its release, and back again the next time.

        A second worker of the new release joins while the first still runs the old one; then the
        first ends, in turn by SIGTERM and SIGKILL, and comes back with the new one.
        """
        assert self.other is not None
        new = ROOT if self.first.service.code != ROOT else self.other
        second = self.cluster.worker(f"new-{self.done['upgrade']}", new)
        self.cluster.goes_on()
        self.cluster.until("the new one's share", lambda: second.said('"phase": "running"'))
        a_moment(self.rng, 2.0)
        if self.done["upgrade"] % 2:
            self.first.kill()
        elif self.first.service.alive():
            self.first.stop()
        self.first.service.code = new
        self.first.start()
        a_moment(self.rng, 5.0)  # the second works alone, or the first is back
        self.cluster.dismiss(second)
        if second.service.alive():
            second.stop()

    def restart_broker(self) -> None:
        """The broker ends, by SIGTERM or SIGKILL, and comes back with the same data."""
        a_moment(self.rng, 2.0)
        self.cluster.kafka.restart(kill=self.done["restart_broker"] % 2 == 1)
        self.cluster.goes_on()

    def suspend(self) -> None:
        """SIGSTOP for longer than the session; another works on; SIGCONT wakes a zombie.

        Meanwhile all keys of the zombie are written anew, then fall idle; the cleaner runs; and
        what comes after has only the log to recover from.
        """
        cluster, zombie = self.cluster, self.first
        cluster.goes_on()
        self.seen = cluster.changelog_records()
        a_moment(self.rng, 1.0)
        fenced_before = zombie.said(FENCED)
        zombie.signal(signal.SIGSTOP)
        cluster.dismiss(zombie)
        self.first = cluster.worker(f"heir-{self.done['suspend']}")
        began = time.monotonic()
        cluster.until("the heir", lambda: self.first.said('"phase": "running"'))
        cluster.caught_up()
        self._clean()
        time.sleep(max(0.0, began + SESSION_SECONDS + 2 - time.monotonic()))
        zombie.signal(signal.SIGCONT)
        assert zombie.service.process is not None
        deadline = time.monotonic() + 10
        while zombie.service.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        ended = not zombie.service.alive()
        self.done["zombies_that_ended_themselves"] += ended
        self.done["zombies_that_were_fenced"] += ended and zombie.said(FENCED) > fenced_before
        self._clean()
        if zombie.service.alive():  # it joined again as a new member, which is as good
            zombie.stop()
        self._forget()

    def _clean(self) -> None:
        """Wait until something seen before is cleaned away, or the cleaner has had its time."""
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            time.sleep(1.0)
            now = self.cluster.changelog_records()
            if gone := self.seen - now:
                self.done["cleaned_records"] += len(gone)
                self.seen = now
                return

    def _forget(self) -> None:
        """The worker dies, and its successor finds nothing on its disk."""
        self.first.kill()
        shutil.rmtree(self.first.folder / ".ember", ignore_errors=True)
        self.first.start()
        self.done["recoveries_from_the_log_alone"] += 1

    # -- the end

    def _finish(self) -> dict[str, Any]:
        cluster, options = self.cluster, self.options
        cluster.caught_up()
        self._forget()
        cluster.feed(self.sends, 2 * self.total, 4 * options.per_second)
        cluster.caught_up()
        self.first.stop()
        _say("comparing")
        bootstrap = cluster.kafka.bootstrap
        log = sent = kafka_client.consume_all(bootstrap, TOPIC)
        settings = Settings.load(cluster.config)
        model = load_model(settings)
        if options.rekeyed:
            log = kafka_client.consume_all(bootstrap, cluster.engine_topic)
        changelog = kafka_client.read_changelog(bootstrap, cluster.changelog)
        changes = rules.noted(changelog, settings) if options.rules else {}
        expected = truth.of(log, cluster.engine_topic, settings, model, changes)
        figures: dict[str, Any] = {
            "guarantee": options.guarantee,
            "records": len(log),
            "disturbances": dict(sorted(self.done.items())),
            "restarts_by_itself": sum(w.restarts for w in cluster.everyone),
        }
        if len(sent) != cluster.sent:
            raise Refuted(f"{cluster.sent} records were sent, {len(sent)} are in the log.", figures)
        offsets = kafka_client.committed_offsets(bootstrap, GROUP, cluster.engine_topic)
        try:
            if options.rekeyed:
                figures |= truth.rekeyed(sent, log, TOPIC, settings, model)
            figures |= truth.compare(
                expected,
                {kind: kafka_client.consume_all(bootstrap, t) for kind, t in KINDS.items()},
                changelog,
                exactly_once=options.guarantee == "exactly_once",
            )
        except Refuted as error:
            raise Refuted(str(error), figures) from None
        if options.rules:
            figures["changes_noted"] = sum(map(len, changes.values()))
        counts: Counter[str] = Counter()
        for partition, meta in expected.metas.items():
            if sum(meta["counts"].values()) != (offsets[partition] or 0) - meta["first_offset"]:
                raise Refuted(f"The counts of partition {partition} do not add up.", figures)
            counts.update(meta["counts"])
        if options.stops and not self.done["cleaned_records"]:
            raise Refuted(
                "The cleaner was never seen to take anything out of the changelog, so that nothing "
                "is shown of a compacted log. Give it more rows, or fewer partitions.",
                figures,
            )
        return {**figures, "outcomes": dict(counts)}


def keyless(sends: Iterator[Send], options: argparse.Namespace) -> Iterator[Send]:
    """The same records as a producer without keys spreads them, stamped as they were measured."""
    for number, send in enumerate(sends):
        stamp_ms = BEGIN_MS + number * STEP_MS // options.keys
        partition = number % options.partitions
        yield send._replace(key=None, partition=partition, timestamp_ms=stamp_ms)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
