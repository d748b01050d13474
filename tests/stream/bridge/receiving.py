"""A receiver of a test: with a table, a clock of its own, and restarts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from stream.bridge import RECEIVERS
from stream.bridge._alerts import AlertTable
from stream.bridge._orders import Orders
from stream.bridge._progress import Progress
from stream.bridge._receivers import ReceiverName
from stream.settings import Settings
from tests.stream.bridge.test_alerts import NOW, A


class Receiving:
    """One receiver and the partition that it is fed from, as a bridge does it."""

    def __init__(self, name: ReceiverName, link: str = "", **settings: Any) -> None:
        self.name, self.link = name, link
        self.section = getattr(Settings.load(**{name: settings}), name)
        self.now = 0.0
        self.results: list[str] = []
        self.log: list[bytes] = []
        self.committed = Progress(0, 0)
        self.orders = Orders()
        self.start()

    def start(self) -> None:
        """Start anew, with what was committed; call it again for a restart."""
        clock: Callable[[], float] = lambda: self.now  # noqa: E731
        self.receiver = RECEIVERS[self.name](self.section, self.link, clock, self.results.append)
        keeps_short = self.receiver.keeps_short
        self.table = AlertTable(
            self.section.max_alerts, keeps_short=keeps_short, takes_digest=keeps_short
        )
        self.receiver.threads |= self.committed.threads
        for offset in range(self.committed.start, len(self.log)):
            self._take(offset)
        self.send()

    def _take(self, offset: int) -> None:
        is_sent = self.committed.is_sent(offset)
        self.table.take(A, offset, {}, self.log[offset], NOW, is_sent=is_sent)

    def write(self, *bodies: bytes) -> None:
        """Write triggers to the topic, and read them."""
        for body in bodies:
            self.log.append(body)
            self._take(len(self.log) - 1)

    def send(self, now: float | None = None) -> None:
        """Send what is due, and commit."""
        self.now = self.now if now is None else now
        time, orders = NOW + timedelta(seconds=self.now), self.orders
        repeats = self.receiver.repeats
        self.table.hold(orders.is_silenced, orders.acknowledgement, time, repeats=repeats)
        self.receiver.send(self.table, time)
        unsent = [alert.unsent for alert in self.table.unaccepted if alert.unsent is not None]
        threads = {
            group: message
            for alert in self.table
            if (group := self.receiver.group_of(alert)) in self.receiver.threads
            for message in (self.receiver.threads[group],)
        }
        oldest = self.table.oldest().get(A)
        progress = Progress.of(len(self.log), unsent, oldest, threads)
        self.committed = Progress.read(progress.offset, progress.metadata())

    def run(self, until: float) -> None:
        """Send at every second up to a time."""
        while self.now < until:
            self.send(self.now + 1.0)
