"""`ember bridge alertmanager`: firing triggers, sent to Alertmanager."""

from __future__ import annotations

from .options import ClusterArgs, ClusterOptions


def alertmanager(
    *,
    url: tuple[str, ...] = (),
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Send triggers to Alertmanager, until SIGTERM or Ctrl-C.

    Each firing key is an alert with the labels alertname, key, topic and those of
    alertmanager.labels; it is sent again while it fires, and resolved with its trigger. Triggers
    marked as backlog are not sent. Several bridges share the partitions, and any may be killed:
    firing triggers are read again from the topic.

    Args:
        url: Address of Alertmanager, once for every member of a cluster. Default:
            alertmanager.urls.
        cluster: Kafka cluster.
    """
    settings = cluster.settings(alertmanager={"urls": url or None})
    # Imported late: a mistake in the settings should not wait for the imports of the bridge.
    from stream.bridge import serve

    serve(settings)
