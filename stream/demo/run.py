"""One run of the demo: broker, training, worker, live stream, evaluation."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stream.errors import UserError
from stream.settings import Settings
from stream.testing import EmbeddedBroker

from .faults import Kind, shortest_live
from .host import HostProbe
from .link import MAX_LAG, PARTITIONS, TOPIC, Link, Received
from .orders import FaultAnswer, Orders, RecoveryAnswer
from .recovery import compare_state, read_state
from .report import Report, RunData, make_report
from .scenario import Scenario
from .training import train
from .watch import CONSOLE_TOPICS, console_beside, console_sections
from .worker import GROUP, DemoWorker, settings_file

LEAST_SECONDS = 30.0
CHUNK_ROWS = 4
_START_SECONDS = 25.0  # a generous estimate of start-up and training, before the live part
_ROWS_PER_SECOND = 20.0  # low enough for a slow machine to reach the end
_ROWS_PER_FAULT_OF_A_KIND = 230
_MOST_ROWS = 20_000
_CLOSE_SECONDS = 4.0  # time kept for the evaluation and for stopping the worker
_RECOVERY_SECONDS = 60.0
_BEFORE_KILL_SECONDS = 2.0
"""Time between the baseline of a comparison and the kill."""
_QUIET_SECONDS = 0.4
_HOST_SECONDS = 0.2
_WATCHED_ROWS_PER_SECOND = 5.0
"""Rows of each machine beside the console; a row is ten seconds of event time."""
_TOPICS = (
    TOPIC,
    f"{TOPIC}.anomalies",
    f"{TOPIC}.triggers",
    f"{TOPIC}.dead-letters",
    f"{GROUP}-state-{TOPIC}-changelog",
)

Show = Callable[[Scenario, Received, str, str], None]
"""Display of a run: scenario, events received, this host's key, headline."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the user.

    Attributes:
        seconds: Wall time of the whole demo.
        seed: Seed of fleet and faults.
        keys: Number of machines.
        history_rows: Rows of each machine to train on.
        paced: Spread the live rows over the available time, instead of sending at full speed.
        console: Serve the console beside it, at a pace that people can follow.
        goes_on: Go on after the live rows, until Ctrl-C.
    """

    seconds: float = 60.0
    seed: int = 1
    keys: int = 240
    history_rows: int = 1500
    paced: bool = False
    console: bool = False
    goes_on: bool = False

    @property
    def live_rows(self) -> int:
        """Rows of each machine in the live part, derived from the time alone."""
        rows = int((self.seconds - _START_SECONDS) * _ROWS_PER_SECOND)
        return max(shortest_live(2 * len(Kind)), min(rows, _MOST_ROWS))

    @property
    def faults_per_kind(self) -> int:
        """Faults of every kind: at least two, and at most one fault for each machine."""
        number = round(self.live_rows / _ROWS_PER_FAULT_OF_A_KIND)
        return max(2, min(number, self.keys // 12))


def demo(
    options: Options, started: float, report_step: Callable[[str], None], show: Show
) -> Report:
    """Run the demo.

    Args:
        options: Options of the user.
        started: Time of `time.monotonic` at which the demo started.
        report_step: Callback with a sentence about each step.
        show: Callback with the state of the live part, a few times a second.

    Returns:
        The report; Ctrl-C during the live part only ends that part.

    Raises:
        UserError: If the time is too short, or broker or worker fail.
    """
    if options.seconds < LEAST_SECONDS:
        raise UserError(
            "The demo cannot be that short: it starts a broker and trains first. "
            f"Expected --seconds >= {LEAST_SECONDS:g}. Received: seconds={options.seconds:g}.",
            exit_code=2,
        )
    topics = dict.fromkeys(_TOPICS, PARTITIONS)
    if options.console:
        topics |= CONSOLE_TOPICS
    with (
        tempfile.TemporaryDirectory(prefix="ember-demo-") as name,
        EmbeddedBroker(topics) as broker,
    ):
        folder = Path(name)
        report_step(f"A fleet of {options.keys} machines, seed {options.seed}")
        scenario = Scenario(
            options.seed,
            keys=options.keys,
            history_rows=options.history_rows,
            live_rows=options.live_rows,
            faults_per_kind=options.faults_per_kind,
            goes_on=options.goes_on,
        )
        report_step(f"Training on {options.history_rows} rows of each")
        start = time.monotonic()
        model = train(scenario, folder / "model")
        training_seconds = time.monotonic() - start
        report_step(f"Trained in {training_seconds:.1f} s; starting the worker")
        sections = console_sections() if options.console else {}
        config = settings_file(folder, broker.bootstrap, model, sections)
        link = Link(broker.bootstrap, GROUP)
        live = _Live(options, scenario, link, config, started, show)
        try:
            with contextlib.ExitStack() as stack:
                if options.console:
                    live.incidents = DemoWorker(config, "incidents")
                    stack.callback(live.incidents.stop)
                    console = console_beside(config, live.orders, live.inject, live.kill_worker)
                    report_step(f"Console: {stack.enter_context(console)}")
                live.play()
            live.worker.request_stop()
            return make_report(scenario, live.run_data(training_seconds))
        finally:
            link.close()
            live.worker.stop()


class _Live:
    """Live part of a run.

    Attributes:
        orders: Orders of the console's buttons.
        worker: Worker that runs now.
        incidents: Process that makes incidents; None without the console.
    """

    def __init__(
        self,
        options: Options,
        scenario: Scenario,
        link: Link,
        config: Path,
        started: float,
        show: Show,
    ) -> None:
        self._options, self._scenario, self._link = options, scenario, link
        self._config, self._show = config, show
        self.worker = DemoWorker(config)
        self.incidents: DemoWorker | None = None
        self.orders = Orders()
        self._started = started
        self._stop_at = math.inf if options.goes_on else options.seconds - _CLOSE_SECONDS
        self._probe = HostProbe()
        self._host: dict[str, float] = {}
        self._host_at = -math.inf
        self._began = self._ended = self._clock()
        self._injected_at: float | None = None
        self._shown_at = -math.inf

    def _clock(self) -> float:
        """Return the seconds since the demo started."""
        return time.monotonic() - self._started

    def play(self) -> None:
        """Play the scenario until it is over, the time is up, or Ctrl-C."""
        try:
            while not self._scenario.over and self._clock() < self._stop_at:
                self.orders.carry_out()
                self._take_turn()
            self._drain()
        except KeyboardInterrupt:
            return
        finally:
            self._ended = self._clock()
        if not self._link.processed:
            self.worker.check()
            raise UserError(
                "The demo's worker has read nothing in the time there was. "
                f"Expected it to be ready within {self._stop_at - self._began:.0f} s. "
                "Give it more with --seconds."
            )

    def _take_turn(self) -> None:
        """Send rows if they are due, and listen to the worker."""
        self.worker.check()
        if self.incidents is not None:
            self.incidents.check()
        if self._may_send():
            self._send()
            self._link.listen(self._clock())
        else:
            self._link.listen(self._clock(), 0.02)
        self._refresh()

    def inject(self, kind: Kind, name: str) -> FaultAnswer:
        """Inject a fault from the next row on."""
        fault = self._scenario.inject(kind, name)
        return FaultAnswer(kind.value, fault.name, fault.channel_name, fault.end - fault.onset)

    def kill_worker(self) -> RecoveryAnswer:
        """Kill the worker amid its work, start another, and compare the state that it recovers.

        Raises:
            UserError: If the other one does not catch up.
        """
        settings = Settings.load(self._config)
        baseline = read_state(settings)
        # The worker absorbs some more, so that the kill finds it amid its work.
        kill_at = self._clock() + _BEFORE_KILL_SECONDS
        while self._clock() < kill_at:
            self._take_turn()
        killed_pid, started_at = self.worker.pid, time.monotonic()
        self.worker.kill()
        self.worker = DemoWorker(self._config)
        while self._link.lag() > 0:
            self.worker.check()
            if time.monotonic() - started_at > _RECOVERY_SECONDS:
                raise UserError("The worker has not caught up after its kill.")
            self._link.listen(self._clock(), 0.05)
        seconds = time.monotonic() - started_at
        state = compare_state(settings, baseline)
        self._began += time.monotonic() - started_at  # the stream goes on where it stood
        return RecoveryAnswer(
            killed_pid=killed_pid,
            pid=self.worker.pid,
            seconds=round(seconds, 3),
            keys=state.keys,
            records=state.records,
            replayed=state.replayed,
            digest=state.digest,
            expected=state.expected,
            equal=None if state.expected is None else state.digest == state.expected,
        )

    def _may_send(self) -> bool:
        """Tell if the worker keeps up and the next rows are due."""
        if self._link.lag() > MAX_LAG:
            return False
        if not self._options.paced:
            return True
        if self._options.console:
            due = _WATCHED_ROWS_PER_SECOND * (self._clock() - self._began)
            return self._scenario.played < due
        share = (self._clock() - self._began) / (0.97 * self._stop_at - self._began)
        return self._scenario.played < share * self._scenario.live_rows

    def _send(self) -> None:
        """Send the fleet's next rows, and this host's telemetry at the same event times."""
        now = self._clock()
        if now - self._host_at >= _HOST_SECONDS:
            self._host, self._host_at = self._probe.read(now), now
        rows = self._scenario.play(CHUNK_ROWS)
        if self._injected_at is None and self._scenario.injecting:
            self._injected_at = now
        self._link.send(self._scenario.fleet.names, rows)
        for time_us in rows.time_us.tolist():
            self._link.send_one(self._probe.key, time_us, self._host)

    def _drain(self) -> None:
        """Wait until the worker has read everything, and its last events have arrived."""
        while self._link.lag() > 0 and self._clock() < self._stop_at:
            self.worker.check()
            self._link.listen(self._clock(), 0.05)
            self._refresh()
        last_message = self._clock()
        while self._clock() < min(last_message + _QUIET_SECONDS, self._stop_at):
            if self._link.listen(self._clock(), 0.1):
                last_message = self._clock()

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._shown_at < 0.25:
            return
        self._shown_at = now
        seconds = max(now - self._began, 1e-9)
        event_seconds = self._scenario.played * self._scenario.fleet.interval_us / 1e6
        span = "" if self._options.goes_on else f" of {self._options.seconds:.0f}"
        headline = (
            f"{now:4.0f}{span} s   {self._link.sent:,} records sent, "
            f"{self._link.processed / seconds:,.0f} a second scored   "
            f"event time × {event_seconds / seconds:,.0f}"
        )
        self._show(self._scenario, self._link.received, self._probe.key, headline)

    def run_data(self, training_seconds: float) -> RunData:
        """Return the data of the run."""
        sent, processed = self._link.sent, self._link.processed
        row = self._scenario.fleet.row
        if processed < sent:  # only faults in the part that the worker has read can be evaluated
            row = self._scenario.first_row + self._scenario.played * processed // sent
        received = self._link.received
        return RunData(
            alarms=received.alarms,
            evaluated=self._scenario.completed_faults(row),
            records=processed,
            live_seconds=self._ended - self._began,
            injected_at=self._injected_at,
            anomalies=received.anomalies,
            triggers=received.triggers,
            training_seconds=training_seconds,
        )
