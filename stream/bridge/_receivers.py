"""All receivers, by the name of their command and of their section of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from ._alertmanager import Alertmanager
from ._email import Email
from ._pagerduty import Pagerduty
from ._receiver import Receiver
from ._slack import Slack
from ._webhook import Webhook

ReceiverName = Literal["alertmanager", "webhook", "slack", "pagerduty", "email"]

RECEIVERS: Final[Mapping[ReceiverName, Callable[[Any, str, Any, Any], Receiver]]] = {
    "alertmanager": Alertmanager,
    "webhook": Webhook,
    "slack": Slack,
    "pagerduty": Pagerduty,
    "email": Email,
}
"""Receiver of each name: from its section, the link, a clock and a callback of results."""
