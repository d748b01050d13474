"""What fires reaches a real Alertmanager, survives a kill of the bridge, and ends there too."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kafka_client
from benchmarks.kafka_client import Send
from stream.testing import EmbeddedBroker
from tests.deploy.promql import DEPLOY
from tests.deploy.test_real_prometheus import _answers, ask, free_port
from tests.e2e.service import _environment
from tests.stream.bridge.fakes import trigger

pytestmark = [pytest.mark.slow, pytest.mark.broker]

TOPIC = "telemetry.triggers"
_PATIENCE_SECONDS = 60.0


class Forwarding:
    """A broker, an Alertmanager, and a bridge between that can be killed."""

    def __init__(self, folder: Path, alertmanager: str, stack: ExitStack) -> None:
        self.folder = folder
        self.broker = stack.enter_context(EmbeddedBroker({TOPIC: 2})).bootstrap
        self.stack = stack
        ports = [free_port() for _ in range(2)]
        self.alertmanager, self.http = (f"http://127.0.0.1:{port}" for port in ports)
        (folder / "ember.toml").write_text(
            f'[kafka]\nbootstrap_servers = "{self.broker}"\nsession_timeout_seconds = 6\n'
            f'[alertmanager]\nurls = ["{self.alertmanager}"]\nresend_seconds = 5\n'
            f'labels = {{ severity = "page", fleet = "north" }}\nport = {ports[1]}\n'
            '[alerts]\nlink = "https://grafana.example/d/ember-keys?var-key={key}"\n'
        )
        self.run(
            "alertmanager",
            alertmanager,
            f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alerts'}",
            f"--web.listen-address=127.0.0.1:{ports[0]}",
            "--cluster.listen-address=",
        )
        self.wait("Alertmanager", lambda: _answers(f"{self.alertmanager}/-/ready"))
        self.bridge = self.start()

    def run(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        log = self.stack.enter_context((self.folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            command, cwd=self.folder, env=_environment(), stdout=log, stderr=log
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def start(self) -> subprocess.Popen[bytes]:
        return self.run("bridge", sys.executable, "-m", "stream.cli", "bridge", "alertmanager")

    def send(self, *bodies: bytes, **more: Any) -> None:
        now = int(1000 * time.time())
        sends = [Send(b"k", body, now, 1, **more) for body in bodies]
        kafka_client.produce(self.broker, TOPIC, sends)

    def alerts(self) -> dict[str, dict[str, Any]]:
        """What fires there, by key."""
        found = ask(f"{self.alertmanager}/api/v2/alerts")
        return {alert["labels"]["key"]: alert for alert in found}

    def wait(self, what: str, holds: Any) -> Any:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not (found := holds()):
            logs = {path.name: path.read_text()[-2000:] for path in self.folder.glob("*.log")}
            assert time.monotonic() < end, f"{what} did not come: {logs}"
            time.sleep(0.2)
        return found


@pytest.fixture
def forwarding(tmp_path: Path, alertmanager: str) -> Iterator[Forwarding]:
    with ExitStack() as stack:
        yield Forwarding(tmp_path, alertmanager, stack)


def test_what_fires_reaches_alertmanager_and_ends_there(forwarding: Forwarding) -> None:
    """With labels that are routed by, without backlog, and throughout a kill of the bridge."""
    it = forwarding
    began = (datetime.now(UTC) - timedelta(minutes=3)).isoformat().replace("+00:00", "Z")
    it.wait("readiness", lambda: _answers(f"{it.http}/readyz"))
    it.send(trigger("old", starts=began), headers=[("ember.backlog", b"true")])
    it.send(trigger("rack 7", starts=began), trigger("b", starts=began))
    found = it.wait("both", lambda: len(f := it.alerts()) == 2 and f)["rack 7"]
    assert found["status"]["state"] == "active"
    assert found["receivers"] == [{"name": "night"}]
    assert found["labels"] == {
        "alertname": "EmberFiring",
        "key": "rack 7",
        "topic": "telemetry",
        "severity": "page",
        "fleet": "north",
    }
    assert found["generatorURL"] == "https://grafana.example/d/ember-keys?var-key=rack%207"
    assert found["startsAt"][:23] == began[:23]
    assert found["annotations"]["summary"] == "rack 7 behaves unlike itself"

    page = urllib.request.urlopen(f"{it.http}/metrics", timeout=10).read().decode()
    assert "ember_bridge_firing_alerts 2.0" in page
    assert 'ember_bridge_triggers_total{outcome="backlog"} 1.0' in page

    it.bridge.kill()
    it.bridge.wait()
    before = it.alerts()["rack 7"]["updatedAt"]
    it.bridge = it.start()
    it.wait("a reminder after the kill", lambda: it.alerts()["rack 7"]["updatedAt"] > before)

    over = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    it.send(trigger("b", resolved=True, starts=began, ends=over))
    it.wait("the end of b", lambda: set(it.alerts()) == {"rack 7"})
    it.bridge.terminate()
    assert it.bridge.wait(30) == 0


def test_without_a_bridge_alerts_end_by_themselves(forwarding: Forwarding) -> None:
    """Nobody is left with an alert that nobody would end."""
    it = forwarding
    it.send(trigger("a"))
    it.wait("a", it.alerts)
    it.bridge.kill()
    it.wait("its end", lambda: not it.alerts())
