"""Layers, names, secrets, and mistakes as sentences."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path

import pytest

from stream.settings import (
    KafkaSection,
    Settings,
    SettingsError,
    env_name,
    json_schema,
    render_json,
    render_toml,
)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `EMBER_` variables, and a folder without `ember.toml`."""
    for name in os.environ:
        if name.startswith("EMBER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "ember.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def mistakes(config: Path | None = None, **overrides: object) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        Settings.load(config, **overrides)
    assert raised.value.exit_code == 2
    assert raised.value.message == "\n".join(raised.value.mistakes)
    return raised.value.mistakes


def test_defaults_are_those_of_the_design() -> None:
    """The settings a user meets first."""
    settings = Settings.load()
    assert settings.kafka.servers == ["localhost:9092"]
    assert settings.kafka.group == "ember"
    assert settings.kafka.session_timeout_seconds == 12.0
    assert settings.input.topics == ("telemetry",)
    assert (settings.input.codec, settings.input.time, settings.input.key) == ("json", "ts", "")
    assert settings.window.mode == "count"
    assert settings.alerts.budget_per_week is None
    assert settings.output.topic("dead_letters", "t") == "t.dead-letters"
    assert settings.checkpoint.interval_seconds == 2.0
    assert settings.state.max_keys == 1_000_000
    assert settings.http.port == 6066
    assert settings.dead_letters.max_per_second == 100


def test_flags_beat_environment_beats_file_beats_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags beat the environment, the file and the defaults; each value has a source."""
    write('[kafka]\ngroup = "file"\nclient_id = "file"\ninstance_id = "file"\n')
    monkeypatch.setenv("EMBER_KAFKA__GROUP", "env")
    monkeypatch.setenv("EMBER_KAFKA__CLIENT_ID", "env")
    settings = Settings.load(None, kafka__group="flag", http={"port": None})
    kafka = settings.kafka
    assert (kafka.group, kafka.client_id, kafka.instance_id) == ("flag", "env", "file")
    assert settings.source("kafka", "group") == "flag"
    assert settings.source("kafka", "client_id") == "EMBER_KAFKA__CLIENT_ID"
    assert settings.source("kafka", "instance_id") == "ember.toml"
    assert settings.source("http", "port") == "default"


def test_without_load_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Settings()` holds the defaults, so that code and tests do not depend on the machine."""
    write('[kafka]\ngroup = "file"\n')
    monkeypatch.setenv("EMBER_KAFKA__GROUP", "env")
    assert Settings().kafka.group == "ember"


def test_settings_are_frozen() -> None:
    """Settings are frozen."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().kafka.group = "other"  # type: ignore[misc]


def test_lists_and_tables_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are written with commas, or as JSON."""
    monkeypatch.setenv("EMBER_INPUT__TOPICS", "a, b")
    monkeypatch.setenv("EMBER_WINDOW__AGGREGATES", "cpu=max")
    assert Settings.load().input.topics == ("a", "b")
    assert Settings.load().window.aggregates == {"cpu": "max"}
    monkeypatch.setenv("EMBER_INPUT__TOPICS", '["a"]')
    monkeypatch.setenv("EMBER_WINDOW__AGGREGATES", '{"x": "mean"}')
    assert Settings.load().input.topics == ("a",)
    assert Settings.load().window.aggregates == {"x": "mean"}


@pytest.mark.parametrize(
    "text",
    [
        'security.protocol = "ssl"\nssl.ca.location = "/ca"\nsession.timeout.ms = 15000\n',
        '"security.protocol" = "SSL"\n"ssl.ca.location" = "/ca"\n"session.timeout.ms" = "15000"\n',
        'security_protocol = "SSL"\nssl_ca_location = "/ca"\nsession_timeout_ms = 15000\n',
    ],
)
def test_kafkas_own_names_are_accepted(text: str) -> None:
    """Kafka's names may be dotted, quoted or underscored; milliseconds become seconds."""
    kafka = Settings.load(write(f"[kafka]\n{text}")).kafka
    assert kafka.security_protocol == "SSL"
    assert kafka.ssl_ca_location == Path("/ca")
    assert kafka.session_timeout_seconds == 15.0
    servers = {"bootstrap.servers": ["a:1", "b:2"]}
    assert KafkaSection.model_validate(servers).servers == ["a:1", "b:2"]


def test_a_stronger_layer_wins_under_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka's name in the file does not beat Ember's in the environment."""
    write('[kafka]\nbootstrap.servers = "file:1"\n')
    monkeypatch.setenv("EMBER_KAFKA__BOOTSTRAP_SERVERS", "env:1")
    assert Settings.load().kafka.servers == ["env:1"]


def test_secrets_come_from_files_and_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets may be files, as of Docker and Kubernetes; a stronger layer replaces a weaker one."""
    Path("pw").write_text("hunter2\n")
    sasl = 'security_protocol="SASL_SSL"\nsasl_mechanism="plain"\nsasl_username="me"\n'
    write(f'[kafka]\n{sasl}sasl_password_file = "pw"\n')
    settings = Settings.load()
    assert settings.kafka.sasl_password.get_secret_value() == "hunter2"
    assert settings.source("kafka", "sasl_password") == "ember.toml"
    for text in (render_toml(settings), json.dumps(render_json(settings)), repr(settings)):
        assert "hunter2" not in text
    monkeypatch.setenv("EMBER_KAFKA__SASL_PASSWORD", "other")
    assert Settings.load().kafka.sasl_password.get_secret_value() == "other"


def test_secret_mistakes() -> None:
    """A secret set twice, or a missing file, is refused."""
    [sentence] = mistakes(kafka={"sasl_password_file": "nowhere"})
    assert "`sasl_password_file` cannot be read" in sentence.lower()
    with pytest.raises(ValueError, match="keep one"):
        KafkaSection.model_validate({"sasl_password": "x", "sasl_password_file": "y"})


def test_every_mistake_is_one_sentence_and_all_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown names get a close match, wrong values their source."""
    config = write(
        '[kafka]\ngruop = "x"\n[inptu]\n[http]\nport = 70000\n[log]\nlevel = "loud"\n'
        '[alerts]\nbudget = "often"\n'
    )
    monkeypatch.setenv("EMBER_INPUT__CODEC", "jsno")
    monkeypatch.setenv("EMBER_OUTPTU__TRIGGERS", "x")
    monkeypatch.setenv("EMBER_STATE_DIRECTORY", "x")
    monkeypatch.setenv("EMBER_WINDOW", "x")
    text = "\n".join(sentences := mistakes(config))
    assert len(sentences) == 9
    assert "`kafka.gruop` is not a setting (ember.toml). Did you mean `group`?" in text
    assert "`[inptu]` is not a section of the settings (ember.toml). Did you mean `input`?" in text
    assert "Received: port=70000 (ember.toml)." in text
    assert "codec='jsno' (EMBER_INPUT__CODEC). Did you mean `json`?" in text
    assert "`EMBER_OUTPTU__TRIGGERS` names no section" in text
    assert "Did you mean `EMBER_OUTPUT__TRIGGERS`?" in text
    assert "`EMBER_STATE_DIRECTORY` is not a setting. Did you mean `EMBER_STATE__DIRECT" in text
    assert "`window` is a section, not a value." in text
    assert "expected number/period" in text.lower()


def test_a_secret_that_is_wrong_is_not_repeated() -> None:
    """A password of the wrong type is not logged."""
    [sentence] = mistakes(kafka={"sasl_password": ["hunter2"]})
    assert "hunter2" not in sentence


SIGNED = {"topic": "<group>-model", "public_key": "key.pub"}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"kafka": {"security_protocol": "SASL_SSL"}}, "sasl_mechanism`, `sasl_username"),
        ({"kafka": {"bootstrap_servers": "broker"}}, "host:port"),
        ({"input": {"codec": "avro"}}, "schema_registry_url"),
        ({"checkpoint": {"guarantee": "exactly_once", "transactions": "off"}}, "transactions"),
        ({"window": {"aggregates": {"cpu": "median"}}}, "'cpu'"),
        ({"input": {"topics": []}}, "at least 1"),
        ({"learn": {"enabled": True}}, "Expected `model.topic`"),
        ({"learn": {"enabled": True}, "model": SIGNED}, "Expected `learn.private_key`"),
        ({"learn": {"since": "12h"}}, "Expected `since` of 1d or more"),
        ({"learn": {"every": "weekly"}}, "Expected a length of time"),
        ({"learn": {"every": "0d"}}, "Expected a length of time"),
        ({"learn": {"calendar_zone": "Mars/Base"}}, "Europe/Berlin"),
        ({"learn": {"holidays": "25.12.2026"}}, "2026-12-25"),
    ],
)
def test_settings_that_contradict_each_other(overrides: dict[str, object], words: str) -> None:
    """A missing value is reported at the start."""
    [sentence] = mistakes(**overrides)
    assert words in sentence


def test_variables_that_are_not_ours_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of other programs and of Kubernetes' services are ignored."""
    monkeypatch.setenv("EMBER_BACKEND", "torch")
    monkeypatch.setenv("EMBER_HTTP_PORT", "tcp://10.0.0.1:6066")
    monkeypatch.setenv("EMBER_HTTP_SERVICE_HOST", "10.0.0.1")
    Settings.load()


def test_files_that_cannot_be_read() -> None:
    """A file may be missing, not TOML, or not text."""
    assert "nowhere.toml cannot be read" in mistakes(Path("nowhere.toml"))[0]
    assert "not valid TOML" in mistakes(write("[kafka\n"))[0]
    Path("ember.toml").write_bytes(b"\xff\xfe")
    assert "not valid TOML" in mistakes()[0]


@pytest.mark.parametrize(
    ("budget", "per_week"), [("1/week", 1.0), ("2/day", 14.0), ("0.5/hours", 84.0)]
)
def test_budgets(budget: str, per_week: float) -> None:
    """A number of false triggers in a period."""
    assert Settings.load(None, alerts__budget=budget).alerts.budget_per_week == per_week


def test_what_has_no_effect_is_no_setting() -> None:
    """Topics of single channels and thresholds by key do not exist: refused, not ignored."""
    sentences = mistakes(write('[model]\nkeys = { x = "y" }\n[output]\nchannels = "x"\n'))
    assert [line.split(".")[0] for line in sentences] == ["`model", "`output"]
    assert all("is not a setting" in line for line in sentences)


def test_what_is_shown_can_be_read_back() -> None:
    """The output of `config show` is a valid settings file."""
    settings = Settings.load(None, window__aggregates={'a "b"': "max"}, input__topics=["x", "y"])
    reread = Settings.load(write(render_toml(settings), "again.toml"))
    assert reread.model_dump() == settings.model_dump()
    assert "# default" in render_toml(settings)
    tomllib.loads(render_toml(settings))


def test_every_setting_is_described_and_has_its_variable() -> None:
    """The schema is the documentation."""
    schema = json_schema()
    for section in Settings.model_fields:
        name = schema["properties"][section]["$ref"].rpartition("/")[2]
        for key, field in schema["$defs"][name]["properties"].items():
            assert field["description"].endswith("."), (section, key)
            assert field["x-env"] == env_name(section, key)


def test_the_codec_gets_what_it_asks_for() -> None:
    """`codec_options` are the keywords of `make_codec`, except those of other sections."""
    import inspect

    from stream.codecs import CODECS, make_codec

    options = Settings().input.codec_options()
    own_arguments = {"name", "channels", "fetch_schema", "schema_folder"}
    assert set(options) == set(inspect.signature(make_codec).parameters) - own_arguments
    for codec in CODECS:
        if codec not in ("avro", "protobuf"):  # they need the URL of a registry
            make_codec(codec, ["cpu"], **options)


@pytest.mark.parametrize(
    ("written", "start"),
    [("earliest", "earliest"), ("LATEST", "latest"), ("-24h", 86_400.0), ("-1.5d", 129_600.0)],
)
def test_a_group_may_begin_some_time_ago(written: str, start: object) -> None:
    """A start is an end of the log, or an age."""
    assert Settings.load(input={"start": written}).input.begin == start


@pytest.mark.parametrize("written", ["24h", "-24", "-h", "yesterday"])
def test_what_is_no_beginning_is_refused(written: str) -> None:
    with pytest.raises(SettingsError, match="Expected earliest, latest, or how far back"):
        Settings.load(input={"start": written})


def test_kafkas_name_of_the_start_points_to_ours() -> None:
    with pytest.raises(SettingsError, match=r"is not a setting .* Use `input.start`"):
        Settings.load(kafka={"auto.offset.reset": "earliest"})


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90.0), ("1.5H", 5_400.0), ("2d", 172_800)]
)
def test_the_age_of_a_backlog_is_a_length_of_time(written: str, seconds: float) -> None:
    assert Settings.load(alerts={"max_alert_age": written}).alerts.max_age_seconds == seconds
    with pytest.raises(SettingsError, match="Expected a length of time"):
        Settings.load(alerts={"max_alert_age": f"-{written}"})


@pytest.mark.parametrize("scheme", ["kafka", "http", "https", "PLAINTEXT", "SASL_SSL", "tcp"])
def test_an_address_with_a_scheme(scheme: str) -> None:
    for servers in (f"{scheme}://kafka:9092", f"a:1,{scheme}://kafka:9092/"):
        (sentence,) = mistakes(kafka={"bootstrap_servers": servers})
        assert f"without `{scheme}://`, for example `kafka:9092`" in sentence
        assert "security_protocol" in sentence


@pytest.mark.parametrize(
    "kafka",
    [
        {"sasl_username": "me"},
        {"sasl_username": "me", "sasl_password": "word"},
        {"sasl_mechanism": "PLAIN"},
        {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "me", "security_protocol": "SSL"},
        {"sasl_oauth_token_url": "https://idp/token"},
        {"sasl_oauth_token_file": "/run/token"},
    ],
)
def test_a_login_without_a_protocol_that_has_one(kafka: dict[str, str]) -> None:
    (sentence,) = mistakes(kafka=kafka)
    assert "has no login. Expected `security_protocol` SASL_SSL or SASL_PLAINTEXT" in sentence


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_a_mechanism_without_a_user(protocol: str) -> None:
    (sentence,) = mistakes(kafka={"security_protocol": protocol, "sasl_mechanism": "PLAIN"})
    assert "also needs `sasl_username`, `sasl_password`" in sentence


@pytest.mark.parametrize("name", ["telemetry.*", "^telemetry", "a|b", "tele?", "[ab]", "t$", "t+"])
def test_topics_by_a_pattern(name: str) -> None:
    (sentence,) = mistakes(input={"topics": ["ok", name]})
    assert "looks like a pattern" in sentence
    assert "the name of each topic" in sentence
    (sentence,) = mistakes(output={"triggers": name})
    assert "looks like a pattern" in sentence


@pytest.mark.parametrize("name", ["a b", "a/b", ".", "..", "größe", "a:b", "", "t" * 250])
def test_a_name_that_no_topic_can_have(name: str) -> None:
    (sentence,) = mistakes(input={"topics": [name]})
    assert "`input.topics` has a value that cannot be used" in sentence
    if name:
        (sentence,) = mistakes(output={"anomalies": name})
        assert "`output.anomalies`" in sentence


def test_a_topic_named_twice() -> None:
    (sentence,) = mistakes(input={"topics": ["a", "b", "a"]})
    assert "'a' is named twice" in sentence


@pytest.mark.parametrize(
    ("codec", "mode"),
    [
        ("json", "count"),
        ("avro", "count"),
        *((codec, "time") for codec in ("influx", "telegraf", "collectd", "prometheus")),
        *((codec, "time") for codec in ("otlp", "otlp_proto", "otlp_json")),
    ],
)
def test_the_window_mode_follows_the_codec_unless_it_is_set(codec: str, mode: str) -> None:
    """Records of one metric make no rows; the settings show which mode is in force, and why."""
    more = {"schema_registry_url": "http://localhost:8081"} if codec == "avro" else {}
    settings = Settings.load(input={"codec": codec, **more})
    assert settings.window.mode == mode
    assert codec in settings.source("window", "mode") or mode == "count"
    assert settings.reread().window.mode == settings.for_worker(1).window.mode == mode
    for explicit in ("count", "time"):
        chosen = Settings.load(input={"codec": codec, **more}, window={"mode": explicit})
        assert (chosen.window.mode, chosen.source("window", "mode")) == (explicit, "flag")


def test_re_keyed_topics_are_one_stream() -> None:
    """Of one input topic it has the name, of several that of the group."""
    plain = Settings(input={"topics": ["a", "b"]})
    assert plain.engine_topics == plain.streams == ("a", "b")
    assert plain.stream_names == {}
    one = Settings(kafka={"group": "g"}, input={"topics": ["a"], "rekey": True})
    assert (one.engine_topics, one.streams) == (("g-rekey",), ("a",))
    assert one.output_topics("dead_letters") == ("a.dead-letters",)
    both = Settings(kafka={"group": "g"}, input={"topics": ["a", "b"], "rekey": True})
    assert both.stream_names == {"g-rekey": "g"}
    assert both.output_topics("triggers") == ("g.triggers",)
    assert both.output_topics("dead_letters") == (
        "g.dead-letters",
        "a.dead-letters",
        "b.dead-letters",
    )


def test_the_topic_of_re_keyed_records_is_no_input() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.load(kafka={"group": "g"}, input={"topics": ["a", "g-rekey"], "rekey": True})
    [sentence] = raised.value.mistakes
    assert "`input.topics` has 'g-rekey', to which re-keying writes" in sentence
    assert "Take it out" in sentence


def test_how_long_re_keyed_records_stay_is_a_length_of_time() -> None:
    section = {"rekey_retention": "90m"}
    assert Settings(input=section).input.rekey_retention_seconds == 5_400.0
    with pytest.raises(SettingsError, match="Expected a length of time"):
        Settings.load(input={"rekey_retention": "long"})


def test_the_control_topic_is_named_after_the_group_and_off_by_default() -> None:
    settings = Settings.load(control={"enabled": True}, kafka={"group": "fleet"})
    assert settings.control_topic == "fleet-control"
    assert Settings().control_topic == ""
    with pytest.raises(SettingsError, match="no name of a Kafka topic"):
        Settings.load(control={"topic": "<group> control"})


def test_the_model_comes_by_one_way() -> None:
    """The topic is named after the group; a default of the path is no second way."""
    settings = Settings.load(model={"topic": "<group>-model"}, kafka={"group": "fleet"})
    assert settings.model_topic == "fleet-model"
    assert Settings().model_topic == ""
    for other in ({"path": "model"}, {"sha256": "0" * 64}):
        with pytest.raises(SettingsError, match="say which model is in service"):
            Settings.load(model={"topic": "<group>-model", **other})
    with pytest.raises(SettingsError, match="is no name of a Kafka topic"):
        Settings.load(model={"topic": "<input>-model"})


def test_profiles_are_bundles_by_pattern_in_their_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "ember.toml"
    config.write_text('[model.profiles]\n"db-*" = "models/db"\n"web?" = "models/web"\n')
    model = Settings.load(config).model
    assert list(model.profiles.items()) == [
        ("db-*", Path("models/db")),
        ("web?", Path("models/web")),
    ]
    assert model.other_keys is None, "the default of model.path is nobody's wish"
    assert Settings.load(config, model={"path": "m"}).model.other_keys == Path("m")
    assert Settings().model.other_keys == Path("model")
    shown = render_toml(Settings.load(config))
    assert 'profiles = { "db-*" = "models/db", "web?" = "models/web" }' in shown
    assert "keys of no profile have no model" in shown
    monkeypatch.setenv("EMBER_MODEL__PROFILES", "q-*=models/queue,w?b=models/web")
    assert list(Settings.load().model.profiles) == ["q-*", "w?b"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"profiles": {"*": "a", "db-*": "b"}}, "'db-*' behind it never does"),
        ({"profiles": {"": "a"}}, "fits no key"),
        ({"profiles": {"db-*": "https://models.example/db"}}, "a folder for 'db-*'"),
        ({"profiles": {"db-*": "m/a"}, "topic": "g-model"}, "a topic of its own"),
        ({"profiles": {"db-*": "a", "pg-*": "a"}, "topic": "g-model"}, "a different name for each"),
        ({"profiles": {"db-*": "a"}, "shadow": "b"}, "which have no model"),
        ({"profiles": {"db-*": "a"}, "shadow_profile": "b"}, "names no profile"),
    ],
)
def test_profiles_that_cannot_be(model: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        Settings.load(model=model)


def test_each_profile_has_a_topic_of_its_own_where_a_topic_brings_the_models() -> None:
    model = {"topic": "<group>-model", "profiles": {"db-*": "db", "q-*": "queue"}}
    settings = Settings.load(kafka={"group": "g"}, model=model)
    assert settings.model_topics == ("g-model-db", "g-model-queue", "g-model")
    views = settings.by_profile
    assert {pattern: view.model_topic for pattern, view in views.items()} == {
        "db-*": "g-model-db",
        "q-*": "g-model-queue",
        "": "g-model",
    }
    assert views["q-*"].profile == (("db-*", "q-*"), "q-*")
    assert all(view.model_topics == (view.model_topic,) for view in views.values())
    model["profiles"]["*"] = "rest"
    all_keys = Settings.load(kafka={"group": "g"}, model=model)
    assert all_keys.model_topics == ("g-model-db", "g-model-queue", "g-model-rest")
    assert Settings().by_profile[""].profile is None
    assert Settings().model_topics == ()
