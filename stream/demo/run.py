"""One run of the demo: broker, training, worker, live stream, judgement."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stream.errors import UserError
from stream.testing import EmbeddedBroker

from .faults import Kind, shortest_live
from .host import HostProbe
from .link import MAX_BEHIND, PARTITIONS, TOPIC, Heard, Link
from .report import Course, Report, make_report
from .stage import Stage
from .training import train
from .worker import GROUP, DemoWorker, settings_file

LEAST_SECONDS = 30.0
CHUNK_ROWS = 4
_START_SECONDS = 25.0  # start-up and training, generously: what is left plays the live rows
_ROWS_PER_SECOND = 20.0  # so that a slow machine still gets to the end
_ROWS_PER_FAULT_OF_A_KIND = 230
_MOST_ROWS = 20_000
_CLOSE_SECONDS = 4.0  # of the whole time: judging and ending the worker
_QUIET_SECONDS = 0.4
_HOST_SECONDS = 0.2
_TOPICS = (
    TOPIC,
    f"{TOPIC}.anomalies",
    f"{TOPIC}.triggers",
    f"{TOPIC}.dead-letters",
    f"{GROUP}-state-{TOPIC}-changelog",
)

Show = Callable[[Stage, Heard, str, str], None]
"""Stage, what was heard, this host's key, headline."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        seconds: of wall time for everything.
        seed: of fleet and faults.
        keys: machines.
        history_rows: rows of each to train on.
        paced: spread the live rows over the time there is, instead of as fast as it goes.
    """

    seconds: float = 60.0
    seed: int = 1
    keys: int = 240
    history_rows: int = 1500
    paced: bool = False

    @property
    def live_rows(self) -> int:
        """Rows of each machine in the live part; follows from the time alone."""
        wanted = int((self.seconds - _START_SECONDS) * _ROWS_PER_SECOND)
        return max(shortest_live(2 * len(Kind)), min(wanted, _MOST_ROWS))

    @property
    def faults_per_kind(self) -> int:
        """At least two, and as many as the machines allow at one fault each."""
        wanted = round(self.live_rows / _ROWS_PER_FAULT_OF_A_KIND)
        return max(2, min(wanted, self.keys // 12))


def demo(options: Options, started: float, say: Callable[[str], None], show: Show) -> Report:
    """Run the demo.

    Args:
        options: what the user asked for.
        started: when the time began to count, on `time.monotonic`.
        say: told what is being done.
        show: shown what happens, a few times a second.

    Returns:
        The report; Ctrl-C during the live part only ends that part.

    Raises:
        UserError: when the time is too short, or broker or worker fail.
    """
    if options.seconds < LEAST_SECONDS:
        raise UserError(
            "The demo cannot be that short: it starts a broker and trains first. "
            f"Expected --seconds >= {LEAST_SECONDS:g}. Received: seconds={options.seconds:g}.",
            exit_code=2,
        )
    with (
        tempfile.TemporaryDirectory(prefix="ember-demo-") as name,
        EmbeddedBroker(dict.fromkeys(_TOPICS, PARTITIONS)) as broker,
    ):
        folder = Path(name)
        say(f"A fleet of {options.keys} machines, seed {options.seed}")
        stage = Stage(
            options.seed,
            keys=options.keys,
            history_rows=options.history_rows,
            live_rows=options.live_rows,
            faults_per_kind=options.faults_per_kind,
        )
        say(f"Training on {options.history_rows} rows of each")
        began = time.monotonic()
        model = train(stage, folder / "model")
        training_seconds = time.monotonic() - began
        say(f"Trained in {training_seconds:.1f} s; starting the worker")
        worker = DemoWorker(settings_file(folder, broker.bootstrap, model))
        link = Link(broker.bootstrap, GROUP)
        try:
            live = _Live(options, stage, link, worker, started, show)
            live.play()
            worker.ask_to_stop()
            return make_report(stage, live.course(training_seconds))
        finally:
            link.close()
            worker.stop()


class _Live:
    """The live part."""

    def __init__(
        self,
        options: Options,
        stage: Stage,
        link: Link,
        worker: DemoWorker,
        started: float,
        show: Show,
    ) -> None:
        self._options, self._stage, self._link = options, stage, link
        self._worker, self._show = worker, show
        self._started = started
        self._stop_at = options.seconds - _CLOSE_SECONDS
        self._probe = HostProbe()
        self._host: dict[str, float] = {}
        self._host_at = -math.inf
        self._began = self._ended = self._clock()
        self._injected_at: float | None = None
        self._shown_at = -math.inf

    def _clock(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._started

    def play(self) -> None:
        """Play the stage until it is over, the time is up, or Ctrl-C."""
        try:
            while not self._stage.over and self._clock() < self._stop_at:
                self._worker.check()
                if self._may_send():
                    self._send()
                    self._link.listen(self._clock())
                else:
                    self._link.listen(self._clock(), 0.02)
                self._refresh()
            self._drain()
        except KeyboardInterrupt:
            return
        finally:
            self._ended = self._clock()
        if not self._link.done:
            self._worker.check()
            raise UserError(
                "The demo's worker has read nothing in the time there was. "
                f"Expected it to be ready within {self._stop_at - self._began:.0f} s. "
                "Give it more with --seconds."
            )

    def _may_send(self) -> bool:
        """Whether the worker keeps up, and the next rows are due."""
        if self._link.behind() > MAX_BEHIND:
            return False
        if not self._options.paced:
            return True
        share = (self._clock() - self._began) / (0.97 * self._stop_at - self._began)
        return self._stage.played < share * self._stage.live_rows

    def _send(self) -> None:
        """Send the fleet's next rows, and this host's telemetry at the same event times."""
        now = self._clock()
        if now - self._host_at >= _HOST_SECONDS:
            self._host, self._host_at = self._probe.read(now), now
        rows = self._stage.play(CHUNK_ROWS)
        if self._injected_at is None and self._stage.injecting:
            self._injected_at = now
        self._link.send(self._stage.fleet.names, rows)
        for time_us in rows.time_us.tolist():
            self._link.send_one(self._probe.key, time_us, self._host)

    def _drain(self) -> None:
        """Wait for the worker to have read everything, and for what it says about it."""
        while self._link.behind() > 0 and self._clock() < self._stop_at:
            self._worker.check()
            self._link.listen(self._clock(), 0.05)
            self._refresh()
        last_heartbeat = self._clock()
        while self._clock() < min(last_heartbeat + _QUIET_SECONDS, self._stop_at):
            if self._link.listen(self._clock(), 0.1):
                last_heartbeat = self._clock()

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._shown_at < 0.25:
            return
        self._shown_at = now
        seconds = max(now - self._began, 1e-9)
        event_seconds = self._stage.played * self._stage.fleet.interval_us / 1e6
        headline = (
            f"{now:4.0f} of {self._options.seconds:.0f} s   {self._link.sent:,} records sent, "
            f"{self._link.done / seconds:,.0f} a second judged   "
            f"event time × {event_seconds / seconds:,.0f}"
        )
        self._show(self._stage, self._link.heard, self._probe.key, headline)

    def course(self, training_seconds: float) -> Course:
        """Return how it went."""
        sent, done = self._link.sent, self._link.done
        row = self._stage.fleet.row
        if done < sent:  # the worker did not get to the end
            row = self._stage.first_row + self._stage.played * done // sent
        heard = self._link.heard
        return Course(
            alarms=heard.alarms,
            judged=self._stage.had_their_time(row),
            records=done,
            live_seconds=self._ended - self._began,
            injected_at=self._injected_at,
            anomalies=heard.anomalies,
            triggers=heard.triggers,
            training_seconds=training_seconds,
        )
