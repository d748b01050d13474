"""`ember console`: pages and HTTP API of recent scores and alerts."""

from __future__ import annotations

from .options import ClusterArgs, ClusterOptions


def console(
    *,
    host: str | None = None,
    port: int | None = None,
    hours: float | None = None,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Serve the console until SIGTERM or Ctrl-C: every key with its usual band, alerts, documents.

    It reads the topics of scores, events, incidents and documents from some hours ago, keeps them
    in memory within console.memory_mib, and commits nothing: it may be started anywhere, any number
    of times. Scores are there with output.scores of the workers. It is read-only unless
    console.token or console.user_header says who writes.

    Args:
        host: Address to listen on. Default: console.host.
        port: Port to listen on; 0: any free one. Default: console.port.
        hours: Hours to read and to keep. Default: console.hours.
        cluster: Kafka cluster.
    """
    settings = cluster.settings(console={"host": host, "port": port, "hours": hours})
    # Imported late: a mistake in the settings should not wait for the imports of the process.
    from stream.console.serve import serve

    serve(settings)
