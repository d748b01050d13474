"""Fields of alerts and groups of alerts, for templates, links and payloads."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from datetime import datetime

from stream.templates import LINK_FIELDS, one_line

from ._alerts import Alert


def link_of(template: str, labels: Mapping[str, str]) -> str:
    """Return the link of an alert or a group; empty where the settings have none."""
    for name in LINK_FIELDS:
        quoted = urllib.parse.quote(labels.get(name, ""), safe="")
        template = template.replace(f"{{{name}}}", quoted)
    return template


def link_to(alert: Alert, template: str) -> str:
    """Return the link of an alert; that of an incident shows its first key."""
    return link_of(template, {**alert.labels, "key": _key_of(alert)})


def _key_of(alert: Alert) -> str:
    return alert.labels.get("key", "") or alert.annotations.get("first", "")


def rfc3339_of(time: datetime) -> str:
    """Return a time in UTC with milliseconds."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fields_of(alert: Alert, link: str) -> dict[str, str]:
    """Return the fields of an alert by the names of `stream.templates.FIELDS`, each one line."""
    labels = {name: alert.labels.get(name, "") for name in ("alertname", "key", "topic", "channel")}
    notes = ("summary", "description", "channels", "explain")
    values = {
        **labels,
        **{name: alert.annotations.get(name, "") for name in notes},
        "key": _key_of(alert),
        "status": alert.status,
        "reason": alert.reason,
        "severity": f"{alert.severity:.1f}",
        "class": alert.severity_class,
        "link": link_to(alert, link),
        "started": _minute(alert.starts),
        "ended": "" if alert.ends is None else _minute(alert.ends),
    }
    return {name: one_line(value) for name, value in values.items()}


def counts_of(alerts: Sequence[Alert]) -> dict[str, str]:
    """Return the numbers of the alerts of a message, for its title."""
    firing = [alert for alert in alerts if alert.ends is None]
    new = [alert for alert in firing if not alert.is_sent and not alert.acknowledged]
    return {
        "firing": f"{len(firing):,}",
        "resolved": f"{len(alerts) - len(firing):,}",
        "began": f"{len(new):,}",
    }


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
