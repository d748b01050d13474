"""`ember bridge`: alerts, sent to Alertmanager, a webhook, Slack, PagerDuty or a mailbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from .options import ClusterArgs, ClusterOptions

if TYPE_CHECKING:
    from stream.bridge import ReceiverName

Source = Annotated[Literal["triggers", "incidents"] | None, Parameter(name="--from")]


def alertmanager(
    *,
    url: tuple[str, ...] = (),
    source: Source = None,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Send alerts to Alertmanager, until SIGTERM or Ctrl-C.

    Each firing key is an alert with the labels alertname, key, topic and those of
    alertmanager.labels; it is sent again while it fires, and resolved with its trigger. Triggers
    marked as backlog are not sent. Several bridges share the partitions, and any may be killed:
    firing triggers are read again from the topic.

    Args:
        url: Address of Alertmanager, once for every member of a cluster. Default:
            alertmanager.urls.
        source: Topics to read, triggers or incidents. Default: alertmanager.source.
        cluster: Kafka cluster.
    """
    _serve("alertmanager", cluster, source, urls=url or None)


def webhook(
    *, url: str | None = None, source: Source = None, cluster: ClusterArgs = ClusterOptions()
) -> None:
    """Send alerts to an address in the format of Alertmanager's webhooks.

    Alerts that begin together are one request. Any bridge may be killed: open alerts are read again
    from the topic, and accepted ones are not sent again.

    Args:
        url: Address of the receiver. Default: webhook.url.
        source: Topics to read, triggers or incidents. Default: webhook.source.
        cluster: Kafka cluster.
    """
    _serve("webhook", cluster, source, url=url)


def slack(
    *, channel: str | None = None, source: Source = None, cluster: ClusterArgs = ClusterOptions()
) -> None:
    """Send alerts to a Slack channel.

    The address of an incoming webhook is slack.webhook_url. With slack.token, the first message of
    a group of alerts is kept up to date, and its thread has the changes.

    Args:
        channel: Id of the channel, with a token. Default: slack.channel.
        source: Topics to read, triggers or incidents. Default: slack.source.
        cluster: Kafka cluster.
    """
    _serve("slack", cluster, source, channel=channel)


def pagerduty(*, source: Source = None, cluster: ClusterArgs = ClusterOptions()) -> None:
    """Send alerts to PagerDuty's Events API v2.

    Each alert is one of PagerDuty, and is resolved there with its trigger. The integration key is
    pagerduty.routing_key.

    Args:
        source: Topics to read, triggers or incidents. Default: pagerduty.source.
        cluster: Kafka cluster.
    """
    _serve("pagerduty", cluster, source)


def email(
    *,
    to: tuple[str, ...] = (),
    source: Source = None,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Send a digest of alerts by e-mail: those that began, go on, and ended.

    Args:
        to: Address of a recipient, once for each. Default: email.recipients.
        source: Topics to read, triggers or incidents. Default: email.source.
        cluster: Kafka cluster.
    """
    _serve("email", cluster, source, recipients=to or None)


def _serve(name: ReceiverName, cluster: ClusterOptions, source: str | None, **values: Any) -> None:
    settings = cluster.settings(**{name: {"source": source, **values}})
    # Imported late: a mistake in the settings should not wait for the imports of the bridge.
    from stream.bridge import serve

    serve(name, settings)
