"""Promise 4: a bad record never stops the stream and never reaches a model."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from benchmarks.kafka_client import Send
from tests.broker.conftest import Broker
from tests.e2e.conftest import HOST_CHANNELS
from tests.e2e.service import Service, wait_until

META = b"\x00ember.meta"


def _good(t: int) -> bytes:
    return json.dumps({"ts": t, "values": dict.fromkeys(HOST_CHANNELS, 0.5)}).encode()


BAD: dict[str, tuple[bytes | None, bytes]] = {
    "not_json": (b"host-1", b"{not json"),
    "wrong_type": (b"host-1", b'{"ts": 1700009000, "values": {"cpu": "high"}}'),
    "out_of_range": (b"host-1", b'{"ts": 1700009000, "values": {"cpu": 1e308}}'),
    "no_key": (None, _good(1_700_009_000)),
    "too_deep": (b"host-1", b'{"ts": 1, "x": ' + b"[" * 450_000 + b"]" * 450_000 + b"}"),
    "future": (b"host-1", _good(4_102_444_800)),
}
NO_CHANNELS = (None, b'{"ts": 1700009000, "values": {"rpm": 3}}')
"""A record of another system, normal in a shared topic; its key does not matter."""


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _settings(broker: Broker, folder: Path, model: Path, topic: str, port: int) -> Path:
    group = broker.name("group")
    broker.create({topic: 1})
    if not broker.real:
        names = (f"{topic}.anomalies", f"{topic}.triggers", f"{topic}.dead-letters")
        broker.create(dict.fromkeys(names, 1) | {f"{group}-state-{topic}-changelog": 1})
    config = folder / "ember.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n[model]\npath = "{model}"\n'
        "[checkpoint]\ninterval_seconds = 0.4\n[state]\nmax_keys = 100\nstandby_replicas = 0\n"
        f"[http]\nport = {port}\n"
    )
    return config


@pytest.mark.broker
def test_every_bad_record_ends_in_the_dead_letters_and_the_stream_goes_on(
    broker: Broker, small_model: Path, tmp_path: Path
) -> None:
    """One of each kind among good ones: reasons, counters and offsets all agree.

    A record of another system is counted, and a bad value costs itself: neither is a dead letter.
    """
    topic, port = broker.name("telemetry"), _free_port()
    config = _settings(broker, tmp_path, small_model, topic, port)
    sends = []
    for i, (key, value) in enumerate(BAD.values()):
        sends.append(Send(b"host-1", _good(1_700_010_000 + 10 * i)))
        sends.append(Send(key, value))
    sends.append(Send(*NO_CHANNELS))
    half_good = json.loads(_good(1_700_020_000))
    half_good["values"][HOST_CHANNELS[0]] = "broken"
    sends.append(Send(b"host-1", json.dumps(half_good).encode()))
    with Service(tmp_path, config, embedded=not broker.real) as service:
        broker.produce(topic, sends)
        changelog = f"{broker.name('group')}-state-{topic}-changelog"

        def meta() -> dict[str, object]:
            rows = broker.read_changelog(changelog)
            return json.loads(rows.get((0, META), b"{}"))

        wait_until("the last record", lambda: meta().get("absorbed") == len(sends) - 1, service)
        status, metrics = _get(port, "/metrics")
        assert status == 200
        assert _get(port, "/livez")[0] == 200
        assert _get(port, "/readyz")[0] == 200
        assert service.stop() == 0
    counts = meta()["counts"]
    assert isinstance(counts, dict)
    assert counts == dict.fromkeys(BAD, 1) | {"scored": len(BAD) + 1, "no_channels": 1}
    assert sum(counts.values()) == len(sends)
    letters = broker.consume_all(f"{topic}.dead-letters")
    assert len(letters) == len(BAD)
    for letter, (reason, (key, value)) in zip(letters, BAD.items(), strict=True):
        headers = dict(letter.headers)
        assert headers["__connect.errors.topic"].decode() == topic
        assert reason in b" ".join(headers.values()).decode()
        assert letter.key == key
        assert (
            value.startswith(letter.value)
            if b"ember.truncated" in headers
            else letter.value == value
        )
    lost = f'ember_bad_values_total{{channel="{HOST_CHANNELS[0]}",reason="wrong_type"'
    for start in (lost, 'ember_record_outcomes_total{outcome="no_channels"'):
        line = next(line for line in metrics.splitlines() if line.startswith(start))
        assert float(line.rsplit(" ", 1)[1]) == 1.0
    assert 'rejected_total{reason="no_channels"' not in metrics
    for reason in BAD:
        assert f'reason="{reason}"' in metrics
        line = next(x for x in metrics.splitlines() if "rejected_total" in x and f'"{reason}"' in x)
        assert float(line.rsplit(" ", 1)[1]) == 1.0


@pytest.mark.broker
def test_a_model_that_fits_nothing_is_said_and_not_ready(
    broker: Broker, small_model: Path, tmp_path: Path
) -> None:
    """Channels of another kind of machine: one sentence in the log, /readyz says no."""
    topic, port = broker.name("other"), _free_port()
    config = _settings(broker, tmp_path, small_model, topic, port)
    wrong = json.dumps({"ts": 1_700_010_000, "values": {"rpm": 1.0, "torque": 2.0}}).encode()
    broker.produce(topic, [Send(b"host-1", wrong)] * 120)
    with Service(tmp_path, config, embedded=not broker.real) as service:
        said = "none of its newest 120 records has any of the model's channels"
        wait_until("not ready", lambda: said in _get(port, "/readyz")[1], service)
        assert _get(port, "/readyz")[0] == 503
        assert _get(port, "/livez")[0] == 200, "a restart would not mend it"
        assert service.stop() == 0
    assert said in service.log.read_text()
