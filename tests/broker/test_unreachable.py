"""Brokers that answer for the cluster, and not at the addresses that they give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiokafka.errors import KafkaConnectionError
from confluent_kafka import KafkaError, KafkaException

from stream.cli import main
from stream.cli.doctor import command
from stream.testing import EmbeddedBroker

pytestmark = pytest.mark.broker


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[None]:
    """A cluster of two, of which only the first can be reached."""
    monkeypatch.chdir(str(tmp_path))
    names = ("t", "g-state-t-changelog", "t.anomalies", "t.triggers", "t.dead-letters")
    with EmbeddedBroker(dict.fromkeys(names, 4), brokers=2) as broker:
        first, _, _ = broker.bootstrap.partition(",")
        broker.set_down(2)
        monkeypatch.setenv("EMBER_KAFKA__BOOTSTRAP_SERVERS", first)
        monkeypatch.setenv("EMBER_KAFKA__GROUP", "g")
        monkeypatch.setenv("EMBER_INPUT__TOPICS", "t")
        yield


@pytest.mark.parametrize(
    "words",
    [
        "state rebase",
        "state clock",
        "state show key",
        "state reset key",
        "tail anomalies -n 1",
        "dead-letters list",
        "explain 0123456789",
    ],
)
@pytest.mark.usefixtures("half")
def test_a_command_says_so_in_one_sentence(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "does not answer" in sentence
    assert "advertised.listeners" in sentence


@pytest.mark.usefixtures("half")
def test_doctor_names_it_and_does_not_wait_for_records(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor"])
    out = capsys.readouterr().out
    assert "group: The broker that has the offsets of 't' does not answer" in out
    assert "records: Not looked at: a broker does not answer." in out


@pytest.mark.parametrize(
    "error", [KafkaConnectionError("no route"), KafkaException(KafkaError(KafkaError._TRANSPORT))]
)
def test_what_no_command_expects_is_one_sentence_too(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def examine(_settings: object) -> object:
        raise error

    monkeypatch.setattr(command, "examine", examine)
    assert main(["doctor"]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("The cluster refused the request")
