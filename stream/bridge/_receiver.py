"""Common part of all receivers: turns, back-off, counts and log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import ClassVar

import structlog

from stream.errors import UserError
from stream.settings import ReceiverSection, SlackSection, WebhookSection, env_name

from ._alerts import Alert, AlertTable
from ._groups import Group, Groups
from ._http import BackOff, NotAcceptedError, Result, UnavailableError

log = structlog.stdlib.get_logger("ember")

_TURN_SECONDS = 20.0
"""Time after which a turn of requests ends, so that triggers are read and the group is kept."""


class Receiver(ABC):
    """A system that is told of alerts.

    Args:
        settings: Section of the receiver.
        link: Template of the link of an alert.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every request.
    """

    name: ClassVar[str]
    """Name of its section, and of its command."""
    keeps_short: ClassVar[bool] = False
    """True if it is told of alerts that began and ended since the last message."""
    repeats: ClassVar[bool] = True
    """True if it is told of news of acknowledged alerts too: it has its own way to handle them."""

    def __init__(
        self,
        settings: ReceiverSection,
        link: str,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
    ) -> None:
        self.section = settings
        self._link = link
        self._clock = clock
        self._on_result = on_result
        self._back_off = BackOff(clock)
        self._turn_ends = 0.0
        self.overdue = 0
        """Alerts that should have been accepted by now."""
        self.threads: dict[str, str] = {}
        """Messages that later ones refer to, by group; a restart brings them back."""

    @property
    def trouble(self) -> str:
        """Error of the last request if it failed, else an empty string."""
        return self._back_off.error

    @abstractmethod
    def send(self, table: AlertTable, now: datetime) -> None:
        """Send everything that is due, and mark it as sent.

        Args:
            table: The alerts.
            now: Current time.
        """

    def group_of(self, alert: Alert) -> str:
        """Return the id of the group of an alert, a key of `threads`; empty without groups."""
        return ""

    def _begin_turn(self) -> None:
        self._turn_ends = self._clock() + _TURN_SECONDS

    @property
    def _may_send(self) -> bool:
        return self._back_off.is_over and self._clock() < self._turn_ends

    def _attempt(self, send: Callable[[], None], alerts: Iterable[Alert]) -> bool:
        """Send once; return True if it is done with: accepted, or refused for good."""
        try:
            send()
        except NotAcceptedError as error:
            self._back_off.accepted()  # it is well: the request is at fault
            self._on_result("refused")
            labels = [alert.labels for alert, _ in zip(alerts, range(3), strict=False)]
            log.error("message refused", receiver=self.name, labels=labels, error=str(error))
        except UnavailableError as error:
            self._back_off.failed(error)
            self._on_result(error.result)
            log.warning("receiver takes no alerts", receiver=self.name, error=str(error))
            return False
        else:
            if self._back_off.accepted():
                log.info("receiver takes alerts again", receiver=self.name)
            self._on_result("accepted")
        return True


class GroupReceiver(Receiver):
    """A system that is told of groups of alerts, a message each.

    Args:
        settings: Section of the receiver.
        link: Template of the link of an alert.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every request.
    """

    repeats = False

    def __init__(
        self,
        settings: SlackSection | WebhookSection,
        link: str,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
    ) -> None:
        super().__init__(settings, link, clock, on_result)
        self._groups = Groups(settings)

    def send(self, table: AlertTable, now: datetime) -> None:
        """Send the groups that are due; see `Receiver.send`."""
        self._begin_turn()
        due = self._groups.due(table, self._clock())
        self.overdue = sum(len(group.unsent) for group in due)
        for group in due:
            if not self._may_send:
                break
            unsent = group.unsent
            if self._attempt(partial(self._notify, group), unsent):
                self._groups.sent(group, self._clock())
                self.overdue -= len(unsent)
                for alert in unsent:
                    table.sent(alert)
        present = self._groups.trim(table)
        self.threads = {k: message for k, message in self.threads.items() if k in present}

    def group_of(self, alert: Alert) -> str:
        """Return the id of the group of an alert, a key of `threads`."""
        return self._groups.id_of(alert)

    @abstractmethod
    def _notify(self, group: Group) -> None:
        """Send the message of a group.

        Raises:
            NotAcceptedError: If the receiver refuses it for good.
            UnavailableError: If it should be tried again later.
        """


def require(section: str, **values: object) -> None:
    """Refuse to start without a setting that a receiver cannot do without.

    Raises:
        UserError: If one is empty.
    """
    for name, value in values.items():
        if not value:
            raise UserError(
                f"The bridge does not know where to send. Expected `{section}.{name}`. "
                f"Received: {name}=''. Set it in ember.toml or by its variable "
                f"({env_name(section, name)}).",
                exit_code=2,
            )
