"""The image runs as compose file and chart say: no root, nothing written, ended in time."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from benchmarks import kafka_client
from tests.broker.conftest import Broker
from tests.deploy.containers import (
    Container,
    Engine,
    built_image,
    call,
    flags_of_pod,
    flags_of_service,
)
from tests.deploy.promql import DEPLOY
from tests.deploy.test_compose import OURS

MOST_MEGABYTES = 790
"""Size of the image with its base; docs/deploying.md says what takes it."""
PARTITIONS, KEYS = 3, 13
NO_RIGHTS = "0000000000000000"

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def image() -> str:
    """Name of the image."""
    return built_image()


@pytest.fixture(scope="module")
def engine(image: str) -> Iterator[Engine]:
    """Runs the image."""
    engine = Engine(image)
    yield engine
    engine.remove_all()


@pytest.fixture(scope="module")
def volume(engine: Engine) -> Iterator[str]:
    """A volume with a model, made by the service of the compose file that makes it."""
    name = f"ember-test-{uuid.uuid4().hex[:12]}"
    call("podman", "volume", "create", name)
    script = re.sub(r"\$\{\w+:-[^}]*\}", str(KEYS), OURS["model"]["command"][0])
    script = script.replace(f"--interval {KEYS}", "--interval 1 --rows 300")
    script = script.replace("--out", "--epochs 1 --out")
    flags = [*flags_of_service(OURS["model"]), "-v", f"{name}:/var/lib/ember"]
    engine.finish([*flags, "--entrypoint", '["sh", "-ec"]'], {}, [script])
    yield name
    engine.remove_all()
    call("podman", "volume", "rm", "--force", name)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(condition: Callable[[], bool], container: Container, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, container.logs()[-4000:]
        time.sleep(0.3)


def compose_flags(volume: str) -> list[str]:
    return [*flags_of_service(OURS["worker"]), "-v", f"{volume}:/var/lib/ember:ro"]


def chart_flags(volume: str) -> list[str]:
    """Of the chart's StatefulSet: state and /tmp are its own, the model is a volume."""
    helpers = (DEPLOY / "helm" / "ember-anomaly" / "templates" / "_helpers.tpl").read_text()

    def defined(name: str) -> dict[str, Any]:
        body = helpers.partition(f'define "{name}" -}}}}')[2].partition("{{- end -}}")[0]
        loaded: dict[str, Any] = yaml.safe_load(body)
        return loaded

    flags = flags_of_pod(defined("ember.podSecurity"), defined("ember.containerSecurity"))
    mounts = ["-v", f"{volume}:/var/lib/ember/volume:ro", "--tmpfs", "/tmp"]
    return [*flags, *mounts, "-v", "/var/lib/ember/state"]


def test_the_image_is_what_the_docs_say(engine: Engine) -> None:
    (found,) = json.loads(call("podman", "image", "inspect", engine.image))
    assert found["Config"]["User"] == "10001:10001"
    assert found["Config"]["Entrypoint"] == ["ember"]
    assert found["Config"]["StopSignal"] in ("SIGTERM", "15")
    assert found["Size"] / 1e6 <= MOST_MEGABYTES
    script = "for each in gcc cc g++ make pip; do if command -v $each; then exit 1; fi; done"
    flags = ["--entrypoint", '["sh", "-c"]', "--env", "PATH=/opt/ember/bin:/usr/bin:/bin"]
    assert engine.finish(flags, {}, [script]) == ""


@pytest.mark.parametrize("limits", [compose_flags, chart_flags])
def test_a_worker_scores_and_ends_within_its_grace(
    limits: Callable[[str], list[str]], engine: Engine, volume: str, kafka: Broker
) -> None:
    topic, group, port = kafka.topic("telemetry", PARTITIONS), kafka.name("group"), free_port()
    model = "/var/lib/ember/model" if limits is compose_flags else "/var/lib/ember/volume/model"
    environment = {
        "EMBER_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "EMBER_KAFKA__GROUP": group,
        "EMBER_INPUT__TOPICS": topic,
        "EMBER_MODEL__PATH": model,
        "EMBER_HTTP__PORT": str(port),
    }
    state = {"EMBER_STATE__DIRECTORY": "/tmp/ember"} if limits is compose_flags else {}
    flags = limits(volume)
    worker = engine.start(flags, environment | state, ["run"])
    wait_until(worker.healthy, worker)

    status = worker.execute("cat", "/proc/1/status")
    assert re.search(r"^Uid:\s+10001\s+10001", status, re.MULTILINE)
    assert re.search(rf"^CapEff:\s+{NO_RIGHTS}$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    for place in ("/opt/ember/x", "/etc/x", "/var/lib/ember/x", "/usr/local/x"):
        said = worker.execute("sh", "-c", f"touch {place} 2>&1 || true")
        assert "Read-only" in said or "Permission denied" in said

    arguments = [f"--to={topic}", f"--keys={KEYS}", "--interval=1"]
    simulator = engine.start(
        flags_of_service(OURS["simulator"]), environment, ["simulate", *arguments]
    )
    wait_until(lambda: sum(kafka_client.end_offsets(kafka.bootstrap, topic)) > 5 * KEYS, simulator)
    simulator.stop(20)
    sent = kafka_client.end_offsets(kafka.bootstrap, topic)

    def absorbed() -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        counts = [line.split()[-1] for line in lines if line.startswith("ember_records_total{")]
        return sum(map(float, counts))

    wait_until(lambda: absorbed() >= sum(sent), worker)
    wait_until(lambda: "scores by its compiled stages" in worker.logs(), worker)
    grace = int(OURS["worker"]["stop_grace_period"].removesuffix("s"))
    assert worker.stop(grace) == 0, worker.logs()[-4000:]
    committed = kafka_client.committed_offsets(kafka.bootstrap, group, topic)
    assert committed == [offset or None for offset in sent]
