"""PagerDuty's Events API v2: an event for the begin, the growth and the end of each alert."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from stream.settings import PagerdutySection
from stream.templates import cut, fill, one_line

from ._alerts import Alert, AlertTable
from ._http import Endpoint, Result
from ._messages import fields_of, rfc3339_of
from ._receiver import Receiver, require

# https://developer.pagerduty.com/docs/send-alert-event
_SUMMARY_CHARACTERS = 1_024
_FIELD_CHARACTERS = 1_024
_SEVERITIES = {"info": "info", "warning": "warning", "critical": "critical"}
"""Class of an incident -> severity of PagerDuty."""


class Pagerduty(Receiver):
    """A PagerDuty service.

    Args:
        settings: Section `pagerduty`.
        link: Template of the link of an alert.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every request.

    Raises:
        UserError: If there is no key, or the authorities cannot be read.
    """

    name = "pagerduty"

    def __init__(
        self,
        settings: PagerdutySection,
        link: str,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
    ) -> None:
        super().__init__(settings, link, clock, on_result)
        self._settings = settings
        self._routing_key = settings.routing_key.get_secret_value()
        require(self.name, routing_key=self._routing_key)
        self._endpoint = Endpoint(settings.url, settings, self.name, secrets=[self._routing_key])

    def send(self, table: AlertTable, now: datetime) -> None:
        """Send an event for each alert with something new; see `Receiver.send`."""
        self._begin_turn()
        for alert in list(table.unsent):
            if not self._may_send:
                break
            if self._attempt(partial(self._post, self._event(alert)), [alert]):
                table.sent(alert)
        self.overdue = len(table.unsent)

    def _post(self, event: dict[str, Any]) -> None:
        self._endpoint.post(event)

    def _event(self, alert: Alert) -> dict[str, Any]:
        """Return the event of an alert; events of the same key are one incident there."""
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": "trigger" if alert.ends is None else "resolve",
            "dedup_key": alert.fingerprint,
        }
        if alert.ends is not None:
            return event
        values = fields_of(alert, self._link)
        summary = fill(self._settings.summary, values, one_line)
        details = {**alert.labels, **alert.annotations, "severity": values["severity"]}
        event["payload"] = {
            "summary": cut(summary or values["alertname"], _SUMMARY_CHARACTERS),
            "source": cut(values["key"] or values["topic"] or "ember", _FIELD_CHARACTERS),
            "severity": _SEVERITIES.get(alert.severity_class, self._settings.severity),
            "timestamp": rfc3339_of(alert.starts),
            "component": cut(values["topic"], _FIELD_CHARACTERS),
            "class": cut(values["alertname"], _FIELD_CHARACTERS),
            "custom_details": {
                cut(one_line(name), 100): cut(one_line(text), _FIELD_CHARACTERS)
                for name, text in list(details.items())[:100]
            },
        }
        event["client"] = "Ember Stream"
        if values["link"]:
            event["client_url"] = values["link"]
            event["links"] = [{"href": values["link"], "text": "Key in Ember"}]
        return event
