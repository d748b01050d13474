"""`ember model deploy | history | rollback` with a model topic, and workers that follow it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ember_core.pipeline import FleetModel
from stream.cli import main
from stream.configure import load_model
from stream.engine import META_KEY
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.broker.test_reload import ROWS, judged, records
from tests.e2e.service import Service, ember, wait_until
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit

Ember = Callable[..., Any]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of two models of the same channels, and one of others."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, hidden in (("one", 8), ("two", 13)):
        fit(KNOWN, CHANNELS, rows=307, hidden=hidden).save(folder / name)
    fit(KNOWN, ("wind", "rain"), rows=211).save(folder / "other")
    return folder


def settings_file(broker: Broker, folder: Path, topic: str = "telemetry") -> Path:
    group = broker.name("g")
    if not broker.real:  # it makes no topics when asked
        names = [f"{topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
        names.append(f"{group}-state-{topic}-changelog")
        broker.create(dict.fromkeys(names, 2) | {f"{group}-model": 1})
    path = folder / "ember.toml"
    path.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n[model]\ntopic = "<group>-model"\n'
        "[checkpoint]\ninterval_seconds = 0.4\n[state]\nstandby_replicas = 0\n"
        "[window]\nstale_intervals = 0\n[http]\nport = 0\n"
    )
    return path


@pytest.fixture
def model(capsys: pytest.CaptureFixture[str]) -> Ember:
    """Run a command of `ember model`; returns its JSON, or the sentence of its refusal."""

    def run(*arguments: str | Path) -> Any:
        code = main(["model", *map(str, arguments), "--json"])
        captured = capsys.readouterr()
        return json.loads(captured.out) if not code else captured.err

    return run


@pytest.mark.broker
def test_bundles_are_deployed_shown_and_rolled_back(
    broker: Broker, tmp_path: Path, bundles: Path, model: Ember
) -> None:
    config = ("--config", settings_file(broker, tmp_path))
    one, two = (FleetModel.load(bundles / name).sha256 for name in ("one", "two"))

    def history() -> list[tuple[str, str, str]]:
        lines = model("history", *config)["bundles"]
        return [(line["digest"], line["state"], line["note"]) for line in lines]

    assert history() == []
    assert "There is no model yet" in _refused(config)
    assert model("deploy", bundles / "one", "--note", "first", *config)["before"] is None
    assert "is this one already" in model("deploy", bundles / "one", *config)
    assert "of other telemetry" in model("deploy", bundles / "other", *config)
    assert "no earlier bundle" in model("rollback", *config)
    assert model("deploy", bundles / "two", *config)["before"] == one
    assert history() == [(two, "in service", ""), (one, "earlier", "first")]
    assert "in service already" in model("rollback", two[:9], *config)
    assert "no such bundle" in model("rollback", "0" * 9, *config)
    done = model("rollback", *config)
    assert (done["deployed"], done["before"]) == (one, two)
    assert history() == [(one, "in service", "first"), (two, "earlier", "")]
    assert model("rollback", two[:9], "--note", "two is right", *config)["deployed"] == two
    assert history() == [(two, "in service", "two is right"), (one, "earlier", "first")]
    assert load_model(Settings.load(config[1])).sha256 == two
    line = model("history", *config)["bundles"][0]
    assert line["channels"] == list(CHANNELS)
    assert line["training"]["keys"] == len(KNOWN)
    assert line["published_by"]
    assert line["published_at"]


def _wait_for_log(worker: Service, text: str) -> None:
    wait_until(text, lambda: text in worker.log.read_text(), worker)


def _refused(config: tuple[str, Path]) -> str:
    with pytest.raises(Exception, match="There is no model yet") as error:
        load_model(Settings.load(config[1]))
    return str(error.value)


def test_a_folder_has_no_history(tmp_path: Path, model: Ember) -> None:
    path = tmp_path / "ember.toml"
    path.write_text('[model]\npath = "model"\n')
    assert "Expected model.topic" in model("history", "--config", path)
    assert "has no history" in model("rollback", "abc", "--config", path)
    assert "has no history" in model("deploy", "x", "--note", "y", "--config", path)


@pytest.mark.broker
def test_a_worker_without_a_model_says_so_and_stops_when_asked(
    embedded: Broker, tmp_path: Path
) -> None:
    """It is alive, so that nothing restarts it, and it is not ready."""
    config = settings_file(embedded, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config.write_text(config.read_text().replace("port = 0", f"port = {port}"))

    def probe(path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    with Service(tmp_path, config, embedded=True) as worker:
        _wait_for_log(worker, "no model is in topic")
        assert probe("/livez")[0] == 200
        status, body = probe("/readyz")
        assert status == 503
        assert "no model is in topic" in body
        assert 'ember_phase{phase="waiting"} 1.0' in probe("/metrics")[1]
        assert worker.stop() == 0


@pytest.mark.slow
@pytest.mark.broker
def test_workers_start_without_a_model_and_change_at_the_noted_offsets(
    broker: Broker, tmp_path: Path, bundles: Path
) -> None:
    """Workers wait for a model; all take it, and the next one in mid-stream.

    Two on a real broker, and one on the embedded one, whose groups do not bear two at once. What
    they say is what one run says that changes models at the offsets of the meta rows.
    """
    topic = broker.topic("followed", 2)
    config = settings_file(broker, tmp_path, topic)
    settings = Settings.load(config)
    changelog = f"{settings.kafka.group}-state-{topic}-changelog"
    models = [load_model(settings, bundles / name) for name in ("one", "two")]
    workers = []
    for name in ("a", "b")[: 1 + broker.real]:
        (tmp_path / name).mkdir()
        workers.append(Service(tmp_path / name, config, embedded=not broker.real))

    def metas() -> dict[int, dict[str, Any]]:
        try:
            rows = broker.read_changelog(changelog)
        except LookupError:
            return {}
        return {p: json.loads(v) for (p, key), v in rows.items() if key == META_KEY}

    def absorbed() -> int:
        return sum(sum(meta["counts"].values()) for meta in metas().values())

    def in_service() -> set[str]:
        return {meta["judges"][-1]["judge"]["model"] for meta in metas().values()}

    with contextlib.ExitStack() as running:
        for worker in workers:
            running.enter_context(worker)
            _wait_for_log(worker, "no model is in topic")
        ember("model", "deploy", bundles / "one", "--config", config, cwd=tmp_path)
        for worker in workers:
            _wait_for_log(worker, f"Running with {2 // len(workers)} input partition")
        broker.produce(topic, records(1))
        first, *others = workers
        wait_until("the first half", lambda: absorbed() == 3 * ROWS, first)
        ember("model", "deploy", bundles / "two", "--config", config, cwd=tmp_path)
        wait_until("the change", lambda: in_service() == {models[1].sha256}, first)
        for worker in others:
            worker.kill()  # right after the change: a replay by the other one says the same
        broker.produce(topic, records(2))
        wait_until("the second half", lambda: absorbed() == 6 * ROWS, first)
        assert first.stop() == 0
    expected: list[bytes] = []
    for partition, meta in metas().items():
        changes = {
            each["offset"]: next(m for m in models if m.sha256 == each["judge"]["model"])
            for each in meta["judges"]
        }
        log = [r for r in broker.consume_all(topic) if r.partition == partition]
        bodies, _ = judged(log, changes, settings)
        expected += bodies
    published = {
        dict(record.headers)["ce_id"]: record.value
        for kind in ("anomalies", "triggers")
        for record in broker.consume_all(f"{topic}.{kind}")
    }
    assert sorted(v or b"" for v in published.values()) == sorted(expected)
    by_model = [json.loads(body)["model"]["sha256"] for body in expected]
    assert all(by_model.count(each.sha256) > 0 for each in models)
