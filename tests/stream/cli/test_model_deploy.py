"""`ember model diff`, `deploy`, `rollback`, `reload` and `shadow`."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ember_core.pipeline import FleetModel
from stream.cli import main
from stream.engine import Comparison
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One, another of the same channels, one of some of them, and one of others."""
    folder = tmp_path_factory.mktemp("bundles")
    fit(KNOWN, CHANNELS, rows=211).save(folder / "one")
    fit(KNOWN[:2], CHANNELS, rows=211, hidden=13).save(folder / "two")
    fit(KNOWN, ("load", "heat"), rows=211).save(folder / "three")
    fit(KNOWN, ("wind", "rain"), rows=211).save(folder / "four")
    return [folder / name for name in ("one", "two", "three", "four")]


class Worker(HTTPServer):
    """Answers as a worker would; `asked` is what it was asked, with which token."""

    asked: list[tuple[str, str, str | None]]
    answers: dict[str, tuple[int, Any]]


@pytest.fixture
def worker() -> Iterator[Worker]:
    class Handler(BaseHTTPRequestHandler):
        server: Worker

        def answer(self) -> None:
            token = self.headers.get("Authorization")
            self.server.asked.append((self.command, self.path, token))
            status, body = self.server.answers[self.path]
            text = json.dumps(body).encode() if isinstance(body, dict) else body
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    server = Worker(("127.0.0.1", 0), Handler)
    server.asked = []
    applied = {"result": "applied", "detail": "done", "offsets": {}, "needs_restart": []}
    server.answers = {"/reload": (200, applied)}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def service(tmp_path: Path, bundles: list[Path], worker: Worker, monkeypatch: Any) -> Path:
    """A service's folder, with the first bundle in `model`."""
    shutil.copytree(bundles[0], tmp_path / "model")
    port = worker.server_address[1]
    (tmp_path / "ember.toml").write_text(f"[http]\nport = {port}\ntoken = 'sesame'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digest(folder: Path) -> str:
    return FleetModel.load(folder, backend="numpy").sha256


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_bundle_is_deployed_and_rolled_back(
    service: Path, bundles: list[Path], worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workers are told each time; a second roll-back is the first deploy again."""
    one, two = digest(bundles[0]), digest(bundles[1])
    assert main(["model", "deploy", str(bundles[1]), "--json"]) == 0
    found = said(capsys)
    assert (found["before"], found["deployed"]) == (one, two)
    assert found["state"] == "scales and windows; a short quiet time"
    assert (digest(service / "model"), digest(service / "model.previous")) == (two, one)
    assert worker.asked == [("POST", "/reload", "Bearer sesame")]
    for now, before in ((one, two), (two, one)):
        assert main(["model", "rollback"]) == 0
        assert (digest(service / "model"), digest(service / "model.previous")) == (now, before)
        assert f"holds {now[:12]}, before {before[:12]}" in capsys.readouterr().out
    assert len(worker.asked) == 3
    assert [path.name for path in service.iterdir() if path.is_dir()] == ["model", "model.previous"]


def test_a_bundle_of_other_telemetry_is_asked_about(
    service: Path, bundles: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It would refuse every record, and nobody would be watched until somebody notices."""
    before = digest(service / "model")
    assert main(["model", "deploy", str(bundles[3])]) == 1
    said = capsys.readouterr().err
    assert "The bundle is of other telemetry" in said
    assert "wind, rain" in said
    assert digest(service / "model") == before
    assert main(["model", "deploy", str(bundles[3]), "--force"]) == 0
    assert digest(service / "model") == digest(bundles[3])


def test_what_cannot_judge_is_not_deployed(
    service: Path, bundles: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundles[1], broken)
    (broken / "model.safetensors").write_bytes(b"?")
    before = digest(service / "model")
    assert main(["model", "deploy", str(broken)]) == 1
    assert main(["model", "deploy", str(bundles[0])]) == 1
    assert "is this one already" in capsys.readouterr().err
    assert main(["model", "rollback"]) == 1
    assert "nothing to go back to" in capsys.readouterr().err
    assert digest(service / "model") == before


def test_a_worker_that_refuses_or_is_not_there_makes_the_command_fail(
    service: Path, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker.answers["/reload"] = 403, b"Set http.token, or send the process SIGHUP.\n"
    assert main(["model", "reload"]) == 1
    assert "403: Set http.token" in capsys.readouterr().out
    worker.answers["/reload"] = 401, b"401: Unauthorized"
    assert main(["model", "reload"]) == 1
    assert "asks for another token: http.token" in capsys.readouterr().out
    assert main(["model", "reload", "--url", "http://127.0.0.1:9"]) == 1
    assert "No answer" in capsys.readouterr().out
    assert main(["model", "reload", "--url", "here"]) == 2


def test_diff_names_what_differs(
    bundles: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    one, two, three, _ = map(str, bundles)
    assert main(["model", "diff", one, two, "--json"]) == 0
    found = said(capsys)
    assert not found["same"]
    assert found["config"]["hidden"] == [8, 13]
    assert found["keys"] == {"added": [], "removed": ["c"]}
    assert found["channels"] == {"added": [], "removed": [], "reordered": False}
    assert any(distance is None for distance in found["weights"].values())
    assert any(distance for distance in found["weights"].values())
    assert main(["model", "diff", one, three, "--json"]) == 0
    found = said(capsys)
    assert found["channels"]["removed"] == ["flow"]
    assert found["state"] == "its place in the log only"
    assert main(["model", "diff", one, one]) == 0
    assert "the two judge alike" in capsys.readouterr().out
    assert main(["model", "diff", one, two]) == 0
    text = capsys.readouterr().out
    assert "8 -> 13" in text
    assert "keys removed" in text


def test_shadow_adds_up_what_the_workers_compared(
    service: Path, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    part = Comparison(rows=7, sums=[7.0, 9.0, 21.0, 30.0, 25.0], apart=[3, 0, 0, 4, 0, 0, 0])
    part.anomalies["both"] = 2
    part.furthest = [(0.9, "db-7", 1_700_000_000_000_000, 0.3, 1.2)]
    pair = {"live": "a" * 64, "candidate": "b" * 64}
    worker.answers["/shadow"] = 200, {**pair, **part.body()}
    url = f"http://127.0.0.1:{worker.server_address[1]}"
    assert main(["model", "shadow", "--url", url, "--url", url, "--json"]) == 0
    found = said(capsys)
    assert (found["rows"], found["anomalies"]["both"], len(found["furthest"])) == (14, 4, 2)
    assert found["correlation"] == pytest.approx(part.correlation)
    assert main(["model", "shadow"]) == 0
    text = " ".join(capsys.readouterr().out.split())  # lines are as wide as the terminal
    assert "7 scored by both" in text
    assert "db-7 at 2023-11-14T22:13:20Z, 0.30 live, 1.20 candidate" in text
    worker.answers["/shadow"] = 404, b"There is no candidate: model.shadow is not set.\n"
    assert main(["model", "shadow"]) == 1
    assert "There is no candidate" in capsys.readouterr().err


def test_the_bundle_of_a_profile_is_replaced_and_goes_back(
    service: Path, bundles: list[Path], worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(bundles[0], service / "db")
    config = service / "ember.toml"
    config.write_text(config.read_text() + '[model.profiles]\n"db-*" = "db"\n')
    assert main(["model", "deploy", str(bundles[1]), "--profile", "db-*"]) == 0
    assert "db holds" in capsys.readouterr().out
    assert digest(service / "db") == digest(bundles[1])
    assert digest(service / "model") == digest(bundles[0])
    assert main(["model", "rollback", "--profile", "db-*"]) == 0
    assert digest(service / "db") == digest(bundles[0])
    assert len(worker.asked) == 2
    capsys.readouterr()
    assert main(["model", "deploy", str(bundles[1]), "--profile", "web-*"]) == 2
    assert "Expected one of the patterns of model.profiles: db-*." in capsys.readouterr().err
    assert main(["model", "deploy", str(bundles[1])]) == 2
    assert "no bundle for the keys of no profile" in capsys.readouterr().err
