"""`ember triggers list | close`: open alerts, and their end by an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from confluent_kafka import KafkaException
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from stream.errors import UserError
from stream.keys import key_of, key_text, quoted
from stream.settings import Settings
from stream.tools import clients
from stream.tools.open_alerts import Headers, OpenAlert, open_alerts, resolve

from .options import OutputTopicArgs, OutputTopicOptions
from .output import clean, message, print_json
from .state import require_yes
from .tail import output_topics

_SHOWN = 20
"""Alerts that a close names before it asks for --yes."""


def list_(
    *,
    json: bool = False,
    source: OutputTopicArgs = OutputTopicOptions(),
) -> None:
    """Show the open alerts, the oldest first: firing triggers that are not resolved.

    Args:
        json: Print one JSON object.
        source: Trigger topics.
    """
    alerts = _read(source.settings(), source.topic)
    if json:
        print_json({"open": [_record(alert) for alert in alerts]})
        return
    console = Console(soft_wrap=True, highlight=False)
    for alert in alerts:
        console.print(_line(alert))
    if not alerts:
        message("No alert is open.")


def close(
    keys: Sequence[str] = (),
    /,
    *,
    every: Annotated[bool, Parameter(name="--all")] = False,
    fingerprint: tuple[str, ...] = (),
    yes: bool = False,
    source: OutputTopicArgs = OutputTopicOptions(),
) -> None:
    """End open alerts: write the resolved trigger that no worker will write any more.

    Use it for alerts of a group, an input topic or a changelog that is gone. A running worker does
    not know of it: it goes on with an episode that its state still holds open, and says nothing
    more of it before its end. `ember state reset` makes a key begin anew.

    Args:
        keys: Stream keys: all open alerts of each.
        every: All open alerts of the topics.
        fingerprint: Fingerprint of one alert, as `ember triggers list` shows it; may be given
            several times.
        yes: Write; without it the command only names the alerts.
        source: Trigger topics.
    """
    if bool(keys) + every + bool(fingerprint) != 1:
        raise UserError(
            "The alerts to close are not named. Expected keys, --fingerprint or --all, and one of "
            "these only.",
            exit_code=2,
        )
    settings = source.settings()
    alerts = _read(settings, source.topic)
    if not every:
        alerts = _selected(alerts, [key_of(key) for key in keys], fingerprint)
    if not alerts:
        message("No alert is open.")
        return
    if not yes:
        for alert in alerts[:_SHOWN]:
            message(_line(alert).plain)
        if len(alerts) > _SHOWN:
            message(f"And {len(alerts) - _SHOWN:,} more.")
    require_yes(f"{len(alerts):,} alerts would be closed.", yes=yes)
    deliveries = clients.Deliveries(clients.open_producer(settings.kafka))

    def put(topic: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
        deliveries.put(topic, partition=partition, key=key, value=value, headers=headers)

    try:
        resolve(alerts, "closed by operator", put)
        cause = deliveries.flush()
    except KafkaException as error:
        cause = error.args[0].str()
    if cause:
        raise UserError(
            f"Not every alert was closed: {cause}. Run the command again: it closes the others."
        )
    message(f"Closed: {len(alerts):,} alerts.")


def _selected(
    alerts: Sequence[OpenAlert], keys: Sequence[bytes], fingerprints: Sequence[str]
) -> list[OpenAlert]:
    """Return the alerts of some keys, or with some fingerprints.

    Raises:
        UserError: If one of them has no open alert.
    """
    names: set[Any] = {alert.key for alert in alerts} | {alert.fingerprint for alert in alerts}
    unknown = [quoted(key) for key in keys if key not in names]
    unknown += [text for text in fingerprints if text not in names]
    if unknown:
        raise UserError(
            f"No alert is open of: {', '.join(map(clean, unknown))}. Nothing was changed. "
            "`ember triggers list` shows the open ones."
        )
    return [alert for alert in alerts if alert.key in keys or alert.fingerprint in fingerprints]


def _read(settings: Settings, topic: str | None) -> list[OpenAlert]:
    metadata = clients.fetch_metadata(settings.kafka)
    return open_alerts(settings.kafka, output_topics(metadata, settings, "triggers", topic))


def _record(alert: OpenAlert) -> dict[str, Any]:
    topic, partition = alert.tp
    return {
        "fingerprint": alert.fingerprint,
        "labels": alert.labels,
        "key": key_text(alert.key),
        "since": alert.body.get("startsAt"),
        "reason": alert.body.get("reason"),
        "summary": (alert.body.get("annotations") or {}).get("summary"),
        "topic": topic,
        "partition": partition,
        "offset": alert.offset,
    }


def _line(alert: OpenAlert) -> Text:
    """Return a line of fingerprint, begin, name, key, channel and summary."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{clean(alert.fingerprint):<16} ", "dim")
    line.append(f" {clean(alert.body.get('startsAt') or '?').replace('T', ' '):<20} ", "dim")
    line.append(f" {clean(alert.name):<19} ", "bold red")
    line.append(f" {key_text(alert.key)} ", "bold cyan")
    if "channel" in alert.labels:
        line.append(f" {clean(alert.labels['channel'])} ", "bold")
    line.append(f" {clean((alert.body.get('annotations') or {}).get('summary', ''))}")
    return line
