"""`ember run`: the service."""

from __future__ import annotations

from pathlib import Path

from stream.settings import Settings


def run(
    *,
    config: Path | None = None,
    model: Path | None = None,
    bootstrap_servers: str | None = None,
    group: str | None = None,
    topics: str | None = None,
    workers: int = 1,
) -> int:
    """Run the service: telemetry in, alerts out, until SIGTERM or Ctrl-C.

    The settings come from flags, the environment (EMBER_SECTION__KEY), the settings file and the
    defaults, the first that has a value wins. Metrics and health are served on http.port.

    Args:
        config: Settings file; default ember.toml where there is one.
        model: Folder of the model bundle; default model.path.
        bootstrap_servers: Brokers, host:port with commas between.
        group: Consumer group of all workers.
        topics: Input topics, with commas between.
        workers: Worker processes; more than there are partitions only wait. Each has an http.port
            of its own, counted up from the first.
    """
    settings = Settings.load(
        config,
        kafka={"bootstrap_servers": bootstrap_servers, "group": group},
        model={"path": model},
        input={"topics": topics},
    )
    # Late: the engine's imports cost half a second, and a mistake in the settings should not wait.
    if workers > 1:
        from stream.tools.supervisor import supervise

        return supervise(settings, workers)
    from stream.app import run as run_worker

    run_worker(settings)
    return 0
