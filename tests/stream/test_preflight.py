"""Mistakes between sections, and on disk: one sentence each, before a broker is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream.preflight import find_mistakes, require_sound
from stream.scores import ScoresError
from stream.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def mistakes(**sections: Any) -> list[str]:
    return find_mistakes(Settings.load(**sections))


def test_the_defaults_have_none() -> None:
    """The bundle of the default path may still have to be trained."""
    assert mistakes() == []


@pytest.mark.parametrize(
    ("topics", "output", "more"),
    [
        (["t"], {"anomalies": "t"}, {}),
        (["t"], {"triggers": "<input>"}, {}),
        (["t", "dead"], {"dead_letters": "dead"}, {}),
        (["t", "t.anomalies"], {}, {}),
        (["t", "t.triggers"], {}, {}),
        (["t", "t.dead-letters"], {}, {}),
        (["a", "b"], {"triggers": "all.<input>", "anomalies": "b"}, {}),
        (["t", "t.scores"], {"scores": "all"}, {}),
        (["t"], {"scores": ["web-*"], "scores_topic": "t"}, {}),
    ],
)
def test_an_output_that_is_an_input(
    topics: list[str], output: dict[str, str], more: dict[str, Any]
) -> None:
    (sentence,) = mistakes(input={"topics": topics}, output=output, kafka={"group": "g"}, **more)
    assert "is an input too" in sentence
    assert "Expected" in sentence
    assert sentence.count("\n") == 0


def test_scores_without_their_package_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are written only."""

    def missing() -> None:
        raise ScoresError("Scores need one package more.")

    monkeypatch.setattr("stream.preflight.require_arrow", missing)
    assert not mistakes(input={"topics": ["t", "t.scores"]})
    (sentence,) = mistakes(output={"scores": "all"})
    assert sentence.startswith("`output.scores` cannot be used. Scores need one package more.")


def test_a_changelog_that_is_an_input() -> None:
    (sentence,) = mistakes(input={"topics": ["t", "g-state-t-changelog"]}, kafka={"group": "g"})
    assert "would read its own state" in sentence


def test_outputs_where_records_are_re_keyed() -> None:
    """The topic between is written by the service itself, and by nothing else."""
    rekeyed = {"topics": ["a", "b"], "key": "host", "rekey": True}
    assert not mistakes(input=rekeyed, kafka={"group": "g"})
    for output in ({"anomalies": "g-rekey"}, {"dead_letters": "b"}, {"triggers": "a"}):
        (sentence,) = mistakes(input=rekeyed, kafka={"group": "g"}, output=output)
        assert "is an input too" in sentence


def test_an_input_that_re_keying_writes_to() -> None:
    with pytest.raises(SettingsError) as raised:
        mistakes(input={"topics": ["g-rekey"], "key": "host", "rekey": True}, kafka={"group": "g"})
    (sentence,) = raised.value.mistakes
    assert "to which re-keying writes" in sentence


def test_dead_letters_that_are_not_written_may_have_any_name() -> None:
    off = {"enabled": False}
    assert not mistakes(input={"topics": ["t"]}, output={"dead_letters": "t"}, dead_letters=off)


def test_an_output_that_is_the_state() -> None:
    (sentence,) = mistakes(
        input={"topics": ["t"]}, kafka={"group": "g"}, output={"anomalies": "g-state-t-changelog"}
    )
    assert "is a changelog" in sentence


@pytest.mark.parametrize("group", ["my group", "team/ember", "g" * 240])
def test_a_group_whose_changelog_cannot_be(group: str) -> None:
    (sentence,) = mistakes(kafka={"group": group})
    assert sentence.startswith("`kafka.group` gives a topic that cannot be")


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("kafka", "ssl_ca_location"),
        ("kafka", "ssl_certificate_location"),
        ("kafka", "ssl_key_location"),
        ("model", "public_key"),
        ("alertmanager", "ca_location"),
    ],
)
def test_a_file_that_is_not_there(section: str, name: str, tmp_path: Path) -> None:
    (sentence,) = mistakes(**{section: {name: "/nowhere/file.pem"}})
    assert f"`{section}.{name}` is not there" in sentence
    assert "/nowhere/file.pem" in sentence
    (sentence,) = mistakes(**{section: {name: tmp_path}})  # a folder
    assert "cannot be read" in sentence
    (tmp_path / "file.pem").touch()
    assert mistakes(**{section: {name: "file.pem"}}) == []


def test_an_oauth_token_that_is_not_there() -> None:
    kafka = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
    (sentence,) = mistakes(kafka={**kafka, "sasl_oauth_token_file": "token"})
    assert "`kafka.sasl_oauth_token_file` is not there" in sentence


@pytest.mark.parametrize("name", ["path", "shadow"])
def test_a_bundle_that_is_not_there(name: str, tmp_path: Path) -> None:
    (sentence,) = mistakes(model={name: "models/none"})
    assert f"`model.{name}` is no model bundle" in sentence
    (tmp_path / "fleet").mkdir()
    assert mistakes(model={name: "fleet"})
    (tmp_path / "fleet" / "model.json").touch()
    assert not mistakes(model={name: "fleet"})


def test_all_are_told_at_once() -> None:
    settings = Settings.load(
        input={"topics": ["t"]},
        output={"anomalies": "t"},
        kafka={"ssl_ca_location": "/nowhere"},
    )
    with pytest.raises(SettingsError) as raised:
        require_sound(settings)
    assert len(raised.value.mistakes) == 2
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("m", "makes the service read what it writes: 'm' is an input too"),
        ("ember-state-m-changelog", "would write into the state of the group"),
        ("m.triggers", "would write among the model's bundles"),
    ],
)
def test_a_model_topic_that_has_another_use(topic: str, said: str) -> None:
    settings = Settings.load(input={"topics": ["m"]}, model={"topic": topic})
    (mistake,) = find_mistakes(settings)
    assert said in mistake


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("m", "makes the service read what it writes: 'm' is an input too"),
        ("ember-state-m-changelog", "would write into the state of the group"),
        ("m.triggers", "would write among the documents"),
        ("ember-model", "would write among the model's bundles"),
    ],
)
def test_a_control_topic_that_has_another_use(topic: str, said: str) -> None:
    control, model = {"enabled": True, "topic": topic}, {"topic": "ember-model"}
    settings = Settings.load(input={"topics": ["m"]}, control=control, model=model)
    assert any(said in mistake for mistake in find_mistakes(settings))
