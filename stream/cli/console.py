"""`ember console`: pages and HTTP API of recent scores and alerts."""

from __future__ import annotations

from pathlib import Path

from stream.errors import UserError
from stream.settings import DEFAULT_FILE, Settings

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
    _require_stream(settings, cluster.config)
    # Imported late: a mistake in the settings should not wait for the imports of the process.
    from stream.console.serve import serve

    serve(settings)


def _require_stream(settings: Settings, config: Path | None) -> None:
    """Refuse to wait for the defaults, where nothing names a stream.

    Raises:
        UserError: If there is no settings file, and neither topics nor brokers are given.
    """
    is_named = (
        "topics" in settings.input.model_fields_set
        or "bootstrap_servers" in settings.kafka.model_fields_set
    )
    if config is None and not DEFAULT_FILE.exists() and not is_named:
        raise UserError(
            f"The console has no stream to show. Expected {DEFAULT_FILE} in the current folder, "
            "--config, or EMBER_INPUT__TOPICS. Received: none of them. Start it beside the "
            "settings of the workers, or see it at work with `ember demo`.",
            exit_code=2,
        )
