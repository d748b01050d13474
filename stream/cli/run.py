"""`ember run`: one worker of the service, or several."""

from __future__ import annotations

from pathlib import Path

from .options import ClusterArgs, ClusterOptions


def run(
    *,
    model: Path | None = None,
    group: str | None = None,
    topics: str | None = None,
    workers: int = 1,
    cluster: ClusterArgs = ClusterOptions(),
) -> int:
    """Run the service: telemetry in, alerts out, until SIGTERM or Ctrl-C.

    A setting comes from the first that has it: flags, environment (EMBER_SECTION__KEY), settings
    file, defaults. Metrics and health are served on http.port.

    Args:
        model: Folder of the model bundle. Default: model.path.
        group: Consumer group of all workers. Default: kafka.group.
        topics: Input topics, separated by commas. Default: input.topics.
        workers: Number of worker processes; more than there are partitions stay idle. Each has an
            http.port of its own, counted up from the first.
        cluster: Kafka cluster.
    """
    settings = cluster.settings(
        kafka={"group": group}, model={"path": model}, input={"topics": topics}
    )
    from stream.preflight import require_sound

    require_sound(settings)
    # Imported late: the engine costs half a second, and a mistake in the settings should not wait.
    if workers > 1:
        from stream.tools.supervisor import supervise

        return supervise(settings, workers)
    from stream.app import run as run_worker

    run_worker(settings)
    return 0
