"""A real Prometheus as DATA: the model is that of the topic with the same samples."""

from __future__ import annotations

import json
import math
import random
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.kafka_client import Send
from ember_core.pipeline import FleetModel
from stream.cli import main
from stream.records import rfc3339
from stream.testing import EmbeddedBroker
from tests.broker.conftest import Broker
from tests.deploy.test_real_prometheus import free_port

pytestmark = [pytest.mark.slow, pytest.mark.broker]

BEGIN, STEP, ROWS = 1_767_225_600, 30, 300
HOSTS = ("web-1:9100", "web-2:9100")


def samples() -> Iterator[tuple[str, dict[str, str], int, str]]:
    """Name, labels, second and value; a counter for each of two modes, and two gauges."""
    chance = random.Random(5)
    total = dict.fromkeys(((host, mode) for host in HOSTS for mode in ("idle", "user")), 0.0)
    for row in range(ROWS):
        at = BEGIN + STEP * row
        for host in HOSTS:
            labels = {"instance": host, "job": "node"}
            yield "node_load1", labels, at, repr(2 + math.sin(row / 9) + chance.random())
            yield "node_memory_free_bytes", labels, at, repr(1e9 + 1e6 * chance.random())
            for mode in ("idle", "user"):
                total[host, mode] += chance.uniform(1, 9)
                named = {**labels, "mode": mode}
                yield "node_cpu_seconds_total", named, at, repr(total[host, mode])


@pytest.fixture
def server(prometheus: str, promtool: str, tmp_path: Path) -> Iterator[str]:
    """A Prometheus that holds the samples, which promtool wrote as blocks."""
    lines: dict[str, list[str]] = {}
    for name, labels, at, value in samples():
        pairs = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.setdefault(name, []).append(f"{name}{{{pairs}}} {value} {at}")
    kinds = {"node_cpu_seconds_total": "counter"}
    text = []
    for name, rows in lines.items():
        text.append(f"# TYPE {name.removesuffix('_total')} {kinds.get(name, 'gauge')}")
        text += sorted(rows, key=lambda row: row.partition(" ")[0])  # of a series by time
    (tmp_path / "samples.txt").write_text("\n".join([*text, "# EOF", ""]))
    blocks = ("tsdb", "create-blocks-from", "openmetrics", "samples.txt", "series")
    subprocess.run([promtool, *blocks], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "prometheus.log").open("wb"))
        command = [prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=series"]
        command += ["--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 60
        while not _is_ready(url):
            assert time.monotonic() < end, (tmp_path / "prometheus.log").read_text()[-2000:]
            time.sleep(0.1)
        yield url


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_model_of_prometheus_is_the_model_of_the_topic(server: str, tmp_path: Path) -> None:
    """Bit for bit: keys, channels with their labels, counters as rates, weights."""
    config = tmp_path / "ember.toml"
    with EmbeddedBroker() as embedded:
        broker = Broker(embedded.bootstrap, embedded=embedded)
        topic = broker.topic("metrics", 2)
        # As the adapter writes them: without a key, in any partition.
        sends = [
            Send(
                None,
                json.dumps(
                    {
                        "name": name,
                        "labels": {"__name__": name, **labels},
                        "timestamp": rfc3339(at * 1_000_000),
                        "value": value,
                    }
                ).encode(),
                at * 1000 + 500,
                number % 2,
            )
            for number, (name, labels, at, value) in enumerate(samples())
        ]
        broker.produce(topic, sends)
        config.write_text(
            f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\n[input]\ntopics = ["{topic}"]\n'
            'codec = "prometheus"\nkey = "labels.instance"\nkey_from = "record"\nrekey = true\n'
            f"[window]\ninterval_seconds = {STEP}\nallowed_lateness_seconds = {2 * STEP}\n"
        )
        fast = ("--epochs", "1", "--config", config, "--out", tmp_path / "model")

        def trained(*words: object) -> FleetModel:
            assert main(["train", *map(str, (*words, *fast))]) == 0
            return FleetModel.load(tmp_path / "model")

        of_topic = trained(f"kafka:{topic}")
        times = [rfc3339(second * 1_000_000) for second in (BEGIN, BEGIN + STEP * ROWS)]
        period = ("--since", times[0], "--until", times[1])
        series = (f"prometheus:{server}", "--query", '{job="node"}', *period)
        of_series = trained(*series)
        assert set(of_series.keys) == {host.encode() for host in HOSTS}
        assert of_series.sources == of_topic.sources
        assert of_series.report["counters"] == [
            'node_cpu_seconds_total{mode="idle"}',
            'node_cpu_seconds_total{mode="user"}',
        ]
        assert of_series.sha256 == of_topic.sha256
        # The interval of each key that is open at the end is not scored.
        model = ("--model", tmp_path / "model", "--config", config, "--json")
        assert main(["backtest", *map(str, (*series, *model))]) == 0
