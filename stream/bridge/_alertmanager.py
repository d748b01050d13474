"""Alertmanager's API v2: all alerts, again and again, to all members of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from stream.settings import AlertmanagerSection

from ._alerts import Alert, AlertTable
from ._http import BackOff, Endpoint, NotAcceptedError, Result, UnavailableError, authorization
from ._messages import link_to, rfc3339_of
from ._receiver import Receiver

log = structlog.stdlib.get_logger("ember")

_BATCH = 250  # alerts in a request: some 300 KiB
_LIFETIME_INTERVALS = (
    4  # an alert expires after as many intervals without a resend, as Prometheus's
)


class Alertmanager(Receiver):
    """Alertmanager: firing alerts are sent again until they are resolved.

    Args:
        settings: Section `alertmanager`.
        link: Template of the link of an alert.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every request.

    Raises:
        UserError: If the authorities cannot be read.
    """

    name = "alertmanager"

    def __init__(
        self,
        settings: AlertmanagerSection,
        link: str,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
    ) -> None:
        super().__init__(settings, link, clock, on_result)
        self._settings = settings
        self._cluster = Cluster(settings, clock, on_result)
        self._next_resend = float("-inf")
        self._again: dict[Alert, None] = {}

    @property
    def trouble(self) -> str:
        """Error of the first member if all have failed, else an empty string."""
        return self._cluster.trouble() if self.overdue else ""

    def send(self, table: AlertTable, now: datetime) -> None:
        """Send new alerts, and at every interval all that fire; see `Receiver.send`."""
        if self._clock() >= self._next_resend:
            self._again = {alert: None for alert in table if alert.ends is None}
            self._next_resend = self._clock() + self._settings.resend_seconds
        # An alert may have ended, or its partition be gone, since it was put there.
        present = set(table)
        alerts = list(table.unsent)
        # A silenced one that was sent goes on: it would end there.
        alerts += [a for a in self._again if a in present and (a.unsent is None or a.is_held)]
        for i in range(0, len(alerts), _BATCH):
            batch = alerts[i : i + _BATCH]
            if not self._cluster.deliver([entry for a in batch for entry in self._entries(a, now)]):
                self.overdue = len(alerts) - i
                return
            for alert in batch:
                if not alert.is_held:
                    table.sent(alert)
        self._again.clear()
        self.overdue = 0

    def _entries(self, alert: Alert, now: datetime) -> list[dict[str, Any]]:
        """Return an alert as the API takes it, and one more for each channel that joined it.

        One more label is the only change of a known alert of which Alertmanager tells anybody.
        """
        expiry = now + timedelta(seconds=_LIFETIME_INTERVALS * self._settings.resend_seconds)
        entry: dict[str, Any] = {
            # The settings' labels win: routes depend on them.
            "labels": {**alert.labels, **self._settings.labels},
            "annotations": alert.annotations,
            "startsAt": rfc3339_of(alert.starts),
            "endsAt": rfc3339_of(alert.ends or expiry),
        }
        if self._link:
            entry["generatorURL"] = link_to(alert, self._link)
        grown = (
            {**alert.labels, "escalation": channel, **self._settings.labels}
            for channel in alert.escalations[: alert.told_escalations if alert.is_held else None]
        )
        return [entry, *({**entry, "labels": labels} for labels in grown)]


class Cluster:
    """All members of an Alertmanager cluster: each is sent every alert, one that accepts is enough.

    The members share their notifications but not their alerts, so a client must send to all.

    Args:
        settings: Addresses, credentials and certificate authorities.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every request.

    Raises:
        UserError: If the authorities cannot be read.
    """

    def __init__(
        self,
        settings: AlertmanagerSection,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
    ) -> None:
        self._members = [_Member(url, settings, clock) for url in settings.urls]
        self._on_result = on_result

    def trouble(self) -> str:
        """Return the error of the first member if all have failed, else an empty string."""
        if all(member.back_off.failures for member in self._members):
            return f"{self._members[0].url} takes no alerts: {self._members[0].back_off.error}"
        return ""

    def deliver(self, alerts: Sequence[Mapping[str, Any]]) -> bool:
        """Send alerts to every member that is not in back-off after a failure.

        Args:
            alerts: Alerts with the fields of the API.

        Returns:
            True if one member accepted them, apart from alerts it refuses for good.
        """
        accepted = False
        for member in self._members:
            if not member.back_off.is_over:
                continue
            try:
                self._post(member.endpoint, alerts)
            except UnavailableError as error:
                member.back_off.failed(error)
                self._on_result(error.result)
                log.warning("Alertmanager takes no alerts", url=member.url, error=str(error))
            else:
                if member.back_off.accepted():
                    log.info("Alertmanager takes alerts again", url=member.url)
                accepted = True
        return accepted

    def _post(self, endpoint: Endpoint, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Post alerts; halve a refused request until the refused alert stands alone."""
        try:
            endpoint.post(alerts)
        except NotAcceptedError as error:
            if len(alerts) == 1:
                self._on_result("refused")
                labels = alerts[0]["labels"]
                log.error("Alertmanager refuses an alert", labels=labels, error=str(error))
                return
            half = len(alerts) // 2
            self._post(endpoint, alerts[:half])
            self._post(endpoint, alerts[half:])
        else:
            self._on_result("accepted")


class _Member:
    """A member of the cluster, with its back-off after failures."""

    def __init__(self, url: str, settings: AlertmanagerSection, clock: Callable[[], float]) -> None:
        self.url = url
        address = f"{url}/api/v2/alerts"
        self.endpoint = Endpoint(address, settings, "alertmanager", authorization(settings))
        self.back_off = BackOff(clock)
