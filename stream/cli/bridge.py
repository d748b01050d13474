"""`ember bridge alertmanager`: what fires, to whoever wakes people up."""

from __future__ import annotations

from pathlib import Path

from stream.settings import Settings


def alertmanager(
    *,
    url: tuple[str, ...] = (),
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Take triggers to Alertmanager, until SIGTERM or Ctrl-C.

    Each key that fires is an alert with the labels alertname, key, topic and those of
    alertmanager.labels; it is sent again while it fires, and ended when the trigger is. Triggers
    marked as backlog are left out. Several of these share the work, and any may be killed: what
    fires is read again from the topic.

    Args:
        url: Addresses of Alertmanager, of every member of a cluster; default alertmanager.urls.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    settings = Settings.load(
        config,
        kafka={"bootstrap_servers": bootstrap_servers},
        alertmanager={"urls": url or None},
    )
    from stream.bridge import serve

    serve(settings)
