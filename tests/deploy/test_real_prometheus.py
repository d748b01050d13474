"""A real Prometheus scrapes a worker under load: panels show something, faults reach Alertmanager.

Time is a sixtieth: ranges and waits of the rules are seconds here where they are minutes there.
"""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import kafka_client
from stream.testing import EmbeddedBroker
from tests.deploy.promql import DEPLOY, RULES, alerts
from tests.deploy.test_dashboards import DASHBOARDS, panels
from tests.e2e.service import _environment, ember

pytestmark = [pytest.mark.slow, pytest.mark.broker]

TOPIC, PARTITIONS, KEYS = "telemetry", 5, 37
_PATIENCE_SECONDS = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def shortened(text: str) -> str:
    """Rules in which a minute is a second."""
    seconds = {"m": 1, "h": 60, "d": 1440}

    def short(match: re.Match[str]) -> str:
        return f"{match[1]}{int(match[2]) * seconds[match[3]]}s{match[4]}"

    text = re.sub(r"(\[)(\d+)([mhd])(\])", short, text)
    return re.sub(r"(\bfor: )(\d+)([mhd])($)", short, text, flags=re.MULTILINE)


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@dataclass
class Watched:
    """A worker with everything around it."""

    folder: Path
    bootstrap: str
    prometheus: str
    alertmanager: str
    worker: subprocess.Popen[bytes]
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Series of an instant query that have a number."""
        query = urllib.parse.urlencode({"query": expression})
        answer = ask(f"{self.prometheus}/api/v1/query?{query}")
        return [s for s in answer["data"]["result"] if not math.isnan(float(s["value"][1]))]

    def alerted(self) -> dict[str, dict[str, Any]]:
        """What Alertmanager holds, by name."""
        found = ask(f"{self.alertmanager}/api/v2/alerts?active=true")
        return {alert["labels"]["alertname"]: alert for alert in found}

    def wait(self, what: str, holds: Callable[[], Any]) -> Any:
        """Wait until something is true; fails with the end of every log."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not (found := holds()):
            logs = {path.name: path.read_text()[-1500:] for path in self.folder.glob("*.log")}
            assert time.monotonic() < end, f"{what} did not come: {logs}"
            time.sleep(0.5)
        return found


def _settings(folder: Path, bootstrap: str, ports: Sequence[int]) -> Path:
    path = folder / "ember.toml"
    path.write_text(
        f"""
[kafka]
bootstrap_servers = "{bootstrap}"
[input]
topics = ["{TOPIC}"]
start = "earliest"
rekey = true
[model]
path = "model"
[checkpoint]
interval_seconds = 0.5
[state]
standby_replicas = 0
[http]
port = {ports[0]}
[alertmanager]
urls = ["http://127.0.0.1:{ports[1]}"]
port = {ports[3]}
[incidents]
port = {ports[4]}
"""
    )
    return path


def _prometheus_settings(folder: Path, ports: Sequence[int]) -> Path:
    """The repository's own, a sixtieth as slow, with these addresses."""
    rules = folder / "rules"
    rules.mkdir()
    for path in RULES:
        (rules / path.name).write_text(shortened(path.read_text()))
    made = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    made["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    jobs = {job["job_name"]: job for job in made["scrape_configs"]}
    made["scrape_configs"] = [jobs["ember"], jobs["ember-bridge"]]
    for job, served in zip(made["scrape_configs"], (ports[:1], ports[3:]), strict=True):
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in served]}]
    (target,) = made["alerting"]["alertmanagers"]
    target["static_configs"] = [{"targets": [f"127.0.0.1:{ports[1]}"]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(made))
    return path


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Any:
    """Broker, fleet, worker, bridge, incidents, Prometheus, Alertmanager."""
    folder = tmp_path_factory.mktemp("watched")
    programs = [request.getfixturevalue(name) for name in ("prometheus", "alertmanager")]
    with ExitStack() as stack:
        yield from _watch(folder, *programs, stack)


def _watch(folder: Path, prometheus: str, alertmanager: str, stack: ExitStack) -> Iterator[Watched]:
    names = (TOPIC, *(f"{TOPIC}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")))
    topics = dict.fromkeys((*names, "ember-rekey", "ember-state-ember-rekey-changelog"), PARTITIONS)
    broker = stack.enter_context(EmbeddedBroker({**topics, f"{TOPIC}.incidents": 1}))
    fleet = ("--keys", str(KEYS), "--interval", "0.05")
    ember("simulate", "--history", "history.csv", "--rows", "800", *fleet, cwd=folder)
    read = ("--time", "ts", "--key", "key", "--out", "model", "--epochs", "2")
    ember("train", "history.csv", *read, cwd=folder)
    ports = [free_port() for _ in range(5)]  # worker, Alertmanager, Prometheus, bridge, incidents

    def run(name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        log = stack.enter_context((folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            [str(part) for part in command], cwd=folder, env=_environment(), stdout=log, stderr=log
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    cli = (sys.executable, "-m", "stream.cli")
    settings = _settings(folder, broker.bootstrap, ports)
    worker = run("worker", *cli, "run", "--config", settings)
    run("bridge", *cli, "bridge", "alertmanager", "--config", settings)
    run("incidents", *cli, "incidents", "--config", settings)
    run(
        "alertmanager",
        alertmanager,
        f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alerts'}",
        f"--web.listen-address=127.0.0.1:{ports[1]}",
        "--cluster.listen-address=",
    )
    run(
        "prometheus",
        prometheus,
        f"--config.file={_prometheus_settings(folder, ports)}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{ports[2]}",
    )
    here = [f"http://127.0.0.1:{port}" for port in ports]
    found = Watched(folder, broker.bootstrap, here[2], here[1], worker)
    found.wait("Prometheus", lambda: _answers(f"{here[2]}/-/ready"))
    found.wait("the worker", lambda: found.query('ember_phase{phase="running"} == 1'))
    run(
        "simulator",
        *(*cli, "simulate", "--to", TOPIC, *fleet, "--bootstrap-servers", broker.bootstrap),
    )
    yield found


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def queries() -> dict[str, str]:
    """Every query of every panel, as Grafana would send it for all workers."""
    return {
        f"{name}: {panel['title']} {target['refId']}": re.sub(
            r"\$(job|instance|topic)", ".+", target["expr"].replace("$__rate_interval", "10s")
        )
        for name in DASHBOARDS
        if name != "key"  # test_real_remote_write.py has its series
        for panel in panels(name)
        for target in panel["targets"]
    }


def test_a_fault_goes_all_the_way(watched: Watched) -> None:
    """In this order: every panel has data; garbage and a killed worker reach Alertmanager."""
    open_queries = queries()
    assert len(open_queries) > 50

    def all_answer() -> bool:
        for name in [name for name, query in open_queries.items() if watched.query(query)]:
            del open_queries[name]
        return not open_queries

    try:
        watched.wait("an answer to every panel", all_answer)
    except AssertionError as error:
        raise AssertionError(f"no data: {sorted(open_queries)}") from error

    assert not {"EmberDown", "EmberDeadLetterRateHigh"} & set(watched.alerted())

    def garbage() -> Any:
        # More than one in a hundred of some seven hundred records a second.
        kafka_client.produce(watched.bootstrap, TOPIC, [kafka_client.Send(b"x", b"{")] * 50)
        return watched.alerted().get("EmberDeadLetterRateHigh")

    alert = watched.wait("EmberDeadLetterRateHigh in Alertmanager", garbage)
    assert alert["labels"]["severity"] == "warning"
    assert alert["labels"]["topic"] == TOPIC
    assert alert["annotations"]["runbook_url"].endswith("/docs/runbooks/EmberDeadLetterRateHigh.md")
    assert alert["receivers"] == [{"name": "day"}]

    watched.worker.kill()
    alert = watched.wait("EmberDown", lambda: watched.alerted().get("EmberDown"))
    assert alert["receivers"] == [{"name": "night"}]
    assert alert["annotations"]["summary"] == alerts()["EmberDown"]["annotations"]["summary"]


def test_a_minute_is_a_second() -> None:
    """Names with a time in them stay as they are."""
    assert shortened("a:rate5m > 1 [15m] [1h]\n  for: 10m\n") == (
        "a:rate5m > 1 [15s] [60s]\n  for: 10s\n"
    )
