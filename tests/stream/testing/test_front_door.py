"""`stream.testing` for users' own tests: light to import, and its parts do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import kafka_client
from stream.testing import EmbeddedService, ServiceError, simulate_rows, small_model

ROOT = Path(__file__).resolve().parents[3]


def test_the_front_door_imports_nothing_heavy() -> None:
    script = (
        "import sys, stream.testing;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "faust", "aiokafka", "pydantic", "msgspec", "confluent_kafka", "ember_core"}
    assert set(done.stdout.split()) & heavy == set()


def test_rows_are_reproducible_and_differ_by_seed() -> None:
    first, again, other = (simulate_rows(3, 50, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (50, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.slow
@pytest.mark.broker
def test_a_service_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    with EmbeddedService(tmp_path / "no-model") as service, pytest.raises(ServiceError) as caught:
        service.wait_for("triggers")
    assert "ended with exit code" in str(caught.value)
    assert "no-model" in str(caught.value)


@pytest.mark.slow
@pytest.mark.broker
def test_healthy_rows_fire_nothing_and_the_environment_applies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EMBER_INPUT__TOPICS", '["machines"]')
    channels = ("cpu", "latency")
    rows = simulate_rows(2, 120).tolist()
    values = [
        {"ts": 1_767_225_600 + 10 * number, "values": dict(zip(channels, row, strict=True))}
        for number, row in enumerate(rows, start=1)
    ]
    with EmbeddedService(small_model(channels), partitions=3) as service:
        service.send("machine-1", *values)
        service.send("machine-2", *values)
        service.wait_until_read()
        assert service.events("triggers") == []
        assert service.events("dead_letters") == []
        assert service.settings.input.topics == ("machines",)


@pytest.mark.slow
@pytest.mark.broker
def test_a_service_that_re_keys_is_waited_for_to_the_end() -> None:
    """Records without a Kafka key, in three partitions, have a state of each host."""
    section = {"rekey": True, "key": "host", "rekey_partitions": 2}
    with EmbeddedService(small_model(("cpu", "latency")), partitions=3, input=section) as service:
        for number in range(9):
            record = {"ts": 1_767_225_600 + 10 * number, "values": {"cpu": 1.0, "latency": 2.0}}
            service.send(None, *({**record, "host": host} for host in ("a", "b")))
        service.send(None, b"{")
        service.wait_until_read()
        [letter] = service.wait_for("dead_letters")
        assert letter.headers["__connect.errors.topic"] == "telemetry"
        counts = kafka_client.read_changelog(
            service.broker.bootstrap, "ember-state-ember-rekey-changelog"
        )
        assert {key for _, key in counts if not key.startswith(b"\x00")} == {b"a", b"b"}
