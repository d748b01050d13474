"""Our own contestant: `ember run` in a process of its own, watched by its `/metrics`."""

from __future__ import annotations

import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.processes import Child
from benchmarks.progress import Sample

_ASK_SECONDS: Final = 0.2
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


class EmberWorker(Child):
    """One worker of the service with a settings file.

    Args:
        folder: Folder of its files.
        bootstrap: Broker.
        topic: Input topic.
        model: Folder of the bundle.
        group: Consumer group.
        checkpoint_seconds: Seconds between checkpoints.
        engine_topic: Topic whose records are counted; empty: the input topic.
        input_lines: More of the section `[input]`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bootstrap: str,
        topic: str,
        model: Path,
        group: str = "ember",
        checkpoint_seconds: float = 2.0,
        engine_topic: str = "",
        input_lines: str = "",
    ) -> None:
        self.topic, self.group = topic, group
        self._engine_topic = engine_topic or topic
        self._port = free_port()
        config = folder / "ember.toml"
        config.write_text(
            settings_file(
                bootstrap, topic, model, group, checkpoint_seconds, self._port, input_lines
            )
        )
        super().__init__(["stream.cli", "run", "--config", str(config)], folder, "ember run")

    def metrics(self) -> dict[str, float]:
        """All its metrics by `name{labels}`; empty while it does not answer."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._port}/metrics", timeout=10
            ) as answer:
                return parse_metrics(answer.read().decode())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return {}

    def watch(self, records: int, seconds: float) -> list[Sample]:
        """Its progress until it has processed a number of records.

        Raises:
            BenchmarkError: If it ends before, or takes longer than `seconds`.
        """
        samples: list[Sample] = []

        def done() -> bool:
            samples.append(self.look())
            return samples[-1].records >= records

        self.until(done, seconds, _ASK_SECONDS)
        return samples

    def look(self, topic: str = "") -> Sample:
        """Its progress now, in a topic; zeros while it does not answer."""
        now = self.metrics()
        count = int(now.get(_counter(topic or self._engine_topic), 0))
        return Sample(time.monotonic(), count, now.get("process_cpu_seconds_total", 0.0))

    def records(self) -> int:
        """Messages processed so far."""
        return int(self.metrics().get(_counter(self._engine_topic), 0))


def _counter(topic: str) -> str:
    return f'ember_records_total{{topic="{topic}"}}'


def settings_file(
    bootstrap: str,
    topic: str,
    model: Path,
    group: str,
    checkpoint_seconds: float,
    port: int,
    input_lines: str = "",
) -> str:
    """The `ember.toml` of a measurement: defaults, but for what it must be told."""
    return f"""\
[kafka]
bootstrap_servers = "{bootstrap}"
group = "{group}"
[input]
topics = ["{topic}"]
start = "earliest"
{input_lines}[model]
path = '{model}'
[checkpoint]
interval_seconds = {checkpoint_seconds}
[state]
directory = "state"
standby_replicas = 0
[http]
port = {port}
"""


def parse_metrics(text: str) -> dict[str, float]:
    """Prometheus's text format as `name{labels}` -> value."""
    samples: dict[str, float] = {}
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match:
            name, labels, value = match.groups()
            samples[f"{name}{{{labels}}}" if labels else name] = float(value)
    return samples


def stage_shares(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Any]:
    """Time of a worker by stage, between two scrapes of its metrics.

    Returns:
        `cpu_seconds`, and the seconds inside decode and step, in checkpoints from begin to end,
        and the longest each checkpoint held the stream up.
    """

    def grown(name: str) -> float:
        return round(after.get(name, 0.0) - before.get(name, 0.0), 3)

    seconds = "ember_process_duration_seconds_sum"
    return {
        "cpu_seconds": grown("process_cpu_seconds_total"),
        "step_seconds": grown(f'{seconds}{{stage="step"}}'),
        "checkpoint_seconds": grown(f'{seconds}{{stage="checkpoint"}}'),
        "checkpoint_stall_seconds": grown(f'{seconds}{{stage="checkpoint_stall"}}'),
        "checkpoints": grown('ember_process_duration_seconds_count{stage="checkpoint"}'),
    }


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
