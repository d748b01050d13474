"""From settings to the Kafka side."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.errors import UserError
from stream.kafka.config import WorkerConfig
from stream.settings import Settings


def config(**sections: object) -> WorkerConfig:
    return WorkerConfig.from_settings(Settings(**sections))  # type: ignore[arg-type]


def test_defaults_name_topics_after_input_and_group() -> None:
    found = config()
    assert found.topics == ("telemetry",)
    assert found.output_topic("trigger", "telemetry") == "telemetry.triggers"
    assert found.changelog("telemetry") == "ember-state-telemetry-changelog"
    assert found.source == "/ember-stream/ember"
    assert found.session_timeout_seconds == 12.0


def test_client_settings_have_servers_and_security() -> None:
    kafka = {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_username": "u",
        "sasl_password": "p",
    }
    found = config(kafka=kafka).client_settings()
    assert found["bootstrap_servers"] == ["a:1", "b:2"]
    assert found["sasl_plain_password"] == "p"
    assert found["sasl_mechanism"] == "SCRAM-SHA-256"


def test_tls_makes_a_context_and_says_when_it_cannot(tmp_path: Path) -> None:
    assert "ssl_context" in config(kafka={"security_protocol": "SSL"}).security
    with pytest.raises(UserError, match="ssl_ca_location"):
        config(kafka={"security_protocol": "SSL", "ssl_ca_location": tmp_path / "none.pem"})
