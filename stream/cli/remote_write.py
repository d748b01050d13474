"""`ember remote-write`: scored rows, as series of Prometheus."""

from __future__ import annotations

from .options import ClusterArgs, ClusterOptions


def remote_write(
    *, url: str | None = None, key: tuple[str, ...] = (), cluster: ClusterArgs = ClusterOptions()
) -> None:
    """Write values, usual bands and scores to Prometheus, VictoriaMetrics or Mimir.

    Keys of remote_write.keys are always written. Keys in an alert are written with the time before
    it (remote_write.before_seconds), and for a while after it. The workers must write their scores
    (output.scores). Several of these processes share the partitions, and any may be killed: what
    the store has not accepted is read again.

    Args:
        url: Address that takes remote-write. Default: remote_write.url.
        key: Pattern of keys that are always written, may be given several times. Default:
            remote_write.keys.
        cluster: Kafka cluster.
    """
    settings = cluster.settings(remote_write={"url": url, "keys": key or None})
    # Imported late: a mistake in the settings should not wait for the imports of the process.
    from stream.remote_write import serve

    serve(settings)
