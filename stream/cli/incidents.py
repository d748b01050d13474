"""`ember incidents`: keys that fire together, as one incident."""

from __future__ import annotations

from .options import ClusterArgs, ClusterOptions


def incidents(*, cluster: ClusterArgs = ClusterOptions()) -> None:
    """Make incidents of triggers, until SIGTERM or Ctrl-C.

    Keys that begin together are one incident, where they have the leading channel or a label of
    incidents.key_pattern alike; in a storm time alone decides. The topic <input>.incidents says
    when it begins, grows and ends. With alerts.pages the most improbable ones are pages, and the
    others wait in the digest of `ember bridge email`. A second process stands by.

    Args:
        cluster: Kafka cluster.
    """
    settings = cluster.settings()
    # Imported late: a mistake in the settings should not wait for the imports of the process.
    from stream.bridge import serve_incidents

    serve_incidents(settings)
