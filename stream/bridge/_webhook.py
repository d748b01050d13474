"""Alertmanager's webhook payload, version 4, to an address of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stream.settings import WebhookSection

from ._alerts import Alert
from ._groups import Group
from ._http import Endpoint, Result, authorization
from ._messages import link_to, rfc3339_of
from ._receiver import GroupReceiver, require

_MOST_ALERTS = 1_000
_NO_END = "0001-01-01T00:00:00Z"
"""End of an alert that fires, as Alertmanager writes it: the zero time of Go."""


class Webhook(GroupReceiver):
    """A receiver of Alertmanager's webhooks.

    Args:
        settings: Section `webhook`.
        link: Template of the link of an alert.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every request.

    Raises:
        UserError: If the authorities cannot be read.
    """

    name = "webhook"

    def __init__(
        self,
        settings: WebhookSection,
        link: str,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
    ) -> None:
        super().__init__(settings, link, clock, on_result)
        self._labels = settings.labels
        require(self.name, url=settings.url.get_secret_value())
        self._endpoint = Endpoint(
            settings.url.get_secret_value(), settings, self.name, authorization(settings)
        )

    def _notify(self, group: Group) -> None:
        self._endpoint.post(self._payload(group))

    def _payload(self, group: Group) -> dict[str, Any]:
        """Return the body of the request for a group."""
        # An acknowledged one is not repeated.
        sent = [
            alert for alert in group.alerts if alert.unsent is not None or not alert.acknowledged
        ]
        listed = sent[:_MOST_ALERTS]
        alerts = [self._entry(alert) for alert in listed]
        return {
            "version": "4",
            "groupKey": group.key,
            "truncatedAlerts": len(sent) - len(listed),
            "status": "resolved" if group.is_over else "firing",
            "receiver": "ember",
            "groupLabels": group.labels,
            "commonLabels": _common(entry["labels"] for entry in alerts),
            "commonAnnotations": _common(entry["annotations"] for entry in alerts),
            "externalURL": link_to(listed[0], self._link),
            "alerts": alerts,
        }

    def _entry(self, alert: Alert) -> dict[str, Any]:
        return {
            "status": alert.status,
            "labels": {**alert.labels, **self._labels},
            "annotations": alert.annotations,
            "startsAt": rfc3339_of(alert.starts),
            "endsAt": _NO_END if alert.ends is None else rfc3339_of(alert.ends),
            "generatorURL": link_to(alert, self._link),
            "fingerprint": alert.fingerprint,
        }


def _common(tables: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the entries that all tables have alike."""
    iterator = iter(tables)
    common = dict(next(iterator, {}))
    for table in iterator:
        common = {name: value for name, value in common.items() if table.get(name) == value}
    return common
