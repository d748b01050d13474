"""`ember topics`: what is needed, and what is missing."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from stream.cli.options import ClusterOptions
from stream.cli.topics import create, plan
from stream.errors import UserError
from tests.broker.conftest import Broker

pytestmark = pytest.mark.broker


def settings(broker: Broker, topic: str, tmp_path: Path) -> ClusterOptions:
    path = tmp_path / "ember.toml"
    path.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{broker.name("g")}"\n'
        f'[input]\ntopics = ["{topic}"]\n'
    )
    return ClusterOptions(config=path)


def test_the_plan_is_commands_for_what_is_missing(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many partitions as the input; the changelog compacted; rights for all of it."""
    topic = broker.topic("telemetry", 5)
    cluster = settings(broker, topic, tmp_path)
    plan(cluster=cluster, principal="User:watch it")
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    made = {line[line.index("--topic") + 1]: line for line in lines if "--create" in line}
    changelog = f"{broker.name('g')}-state-{topic}-changelog"
    assert set(made) == {
        *(f"{topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")),
        changelog,
    }
    assert all(line[line.index("--partitions") + 1] == "5" for line in made.values())
    assert "cleanup.policy=compact" in made[changelog]
    rights = [line for line in lines if line[0] == "kafka-acls.sh"]
    assert len(rights) == 7
    assert all("User:watch it" in line for line in rights)
    of = {line[line.index("--topic") + 1]: line for line in rights if "--topic" in line}
    assert set(of) == {topic, *made}
    assert "Write" in of[changelog]
    assert "Read" in of[topic]
    assert "Write" not in of[topic]
    assert "Read" not in of[f"{topic}.triggers"]
    plan(cluster=cluster, bridge=True, json=True)
    rights = json.loads(capsys.readouterr().out)["rights"]
    (triggers,) = [right for right in rights if right["name"] == f"{topic}.triggers"]
    assert {"Read", "Write"} <= set(triggers["operations"])
    plan(cluster=cluster, incidents=True, json=True)
    planned = json.loads(capsys.readouterr().out)
    (incidents,) = [t for t in planned["topics"] if t["name"] == f"{topic}.incidents"]
    assert incidents["partitions"] == 1
    of = {r["name"]: set(r["operations"]) for r in planned["rights"]}
    assert {"Read", "Write"} <= of[f"{topic}.incidents"]
    assert "Read" in of[f"{topic}.triggers"]
    plan(cluster=cluster, dead_letters=True, json=True)
    of = {r["name"]: set(r["operations"]) for r in json.loads(capsys.readouterr().out)["rights"]}
    for name in (topic, f"{topic}.dead-letters"):
        assert {"Read", "Write"} <= of[name]


def test_the_plan_has_the_model_topic_where_bundles_come_by_it(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One partition, compacted; workers read it, and who deploys models writes it too."""
    cluster = settings(broker, broker.topic("telemetry", 5), tmp_path)
    assert cluster.config is not None
    text = cluster.config.read_text()
    cluster.config.write_text(text + '[model]\ntopic = "<group>-model"\n')
    name = f"{broker.name('g')}-model"
    plan(cluster=cluster)
    lines = [line for line in capsys.readouterr().out.splitlines() if name in line]
    made, right = (shlex.split(line) for line in lines)
    assert made[made.index("--partitions") + 1] == "1"
    assert "cleanup.policy=compact" in made
    assert "Read" in right
    assert "Write" not in right
    plan(cluster=cluster, deploy=True)
    _, right = (line for line in capsys.readouterr().out.splitlines() if name in line)
    assert {"Read", "Write"} <= set(shlex.split(right))
    cluster.config.write_text(cluster.config.read_text() + "[learn]\nenabled = true\n")
    plan(cluster=cluster, json=True)  # workers that train publish, and leave episodes out
    of = {r["name"]: set(r["operations"]) for r in json.loads(capsys.readouterr().out)["rights"]}
    for topic in (name, f"{broker.name('telemetry')}.triggers"):
        assert {"Read", "Write"} <= of[topic]


def test_the_plan_has_the_control_topic_where_documents_come_by_it(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One partition, compacted; workers read it, and operators write it too."""
    cluster = settings(broker, broker.topic("telemetry", 5), tmp_path)
    assert cluster.config is not None
    cluster.config.write_text(cluster.config.read_text() + "[control]\nenabled = true\n")
    name = f"{broker.name('g')}-control"
    plan(cluster=cluster)
    lines = [line for line in capsys.readouterr().out.splitlines() if name in line]
    made, right = (shlex.split(line) for line in lines)
    assert made[made.index("--partitions") + 1] == "1"
    assert "cleanup.policy=compact" in made
    assert "Read" in right
    assert "Write" not in right
    plan(cluster=cluster, control=True)
    _, right = (line for line in capsys.readouterr().out.splitlines() if name in line)
    assert {"Read", "Write"} <= set(shlex.split(right))


@pytest.mark.parametrize("rekey", [False, True])
def test_the_plan_has_the_topic_of_scores_where_they_are_written(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str], rekey: bool
) -> None:
    """As many partitions as what the engine reads, a retention, and the right to write."""
    topic = broker.topic("telemetry", 5)
    cluster = settings(broker, topic, tmp_path)
    assert cluster.config is not None
    text = cluster.config.read_text()
    more = "rekey = true\nrekey_partitions = 7\n" if rekey else ""
    scores = 'scores = ["web-*"]\nscores_retention_seconds = 7200\n'
    cluster.config.write_text(f"{text}{more}[output]\n{scores}")
    plan(cluster=cluster, json=True)
    planned = json.loads(capsys.readouterr().out)
    (made,) = (each for each in planned["topics"] if each["name"] == f"{topic}.scores")
    assert made["partitions"] == (7 if rekey else 5)
    assert made["config"] == {
        "cleanup.policy": "delete",
        "retention.ms": "7200000",
        "segment.ms": "600000",
    }
    (right,) = (each for each in planned["rights"] if each["name"] == f"{topic}.scores")
    assert set(right["operations"]) == {"Write", "Describe", "DescribeConfigs"}


def test_the_plan_of_re_keying_has_its_topic(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The changelog follows its partitions; the service may delete what it has absorbed."""
    topic = broker.topic("telemetry", 5)
    cluster = settings(broker, topic, tmp_path)
    assert cluster.config is not None
    text = cluster.config.read_text()
    cluster.config.write_text(f"{text}rekey = true\nrekey_partitions = 7\n")
    plan(cluster=cluster, json=True)
    planned = json.loads(capsys.readouterr().out)
    rekeyed = f"{broker.name('g')}-rekey"
    assert {each["name"]: each["partitions"] for each in planned["topics"]} == {
        topic: 5,
        rekeyed: 7,
        f"{broker.name('g')}-state-{rekeyed}-changelog": 7,
        f"{topic}.anomalies": 7,
        f"{topic}.triggers": 7,
        f"{topic}.dead-letters": 5,
    }
    config = next(each["config"] for each in planned["topics"] if each["name"] == rekeyed)
    assert (config["cleanup.policy"], config["retention.ms"]) == ("delete", "-1")
    of = {right["name"]: set(right["operations"]) for right in planned["rights"]}
    assert {"Read", "Write", "Delete"} <= of[rekeyed]
    assert "Write" not in of[topic]


def test_create_makes_what_is_missing_once(
    kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = kafka.topic("telemetry", 3)
    cluster = settings(kafka, topic, tmp_path)
    create(cluster=cluster, json=True)
    created = json.loads(capsys.readouterr().out)["created"]
    assert len(created) == 4
    create(cluster=cluster, json=True)
    assert json.loads(capsys.readouterr().out)["created"] == []
    plan(cluster=cluster, json=True)
    planned = json.loads(capsys.readouterr().out)
    assert all(each["exists"] for each in planned["topics"])
    assert {each["partitions"] for each in planned["topics"]} == {3}


def test_inputs_must_be_there_or_sized(embedded: Broker, tmp_path: Path) -> None:
    cluster = settings(embedded, "nowhere", tmp_path)
    with pytest.raises(UserError, match=r"no topic 'nowhere'.*say --partitions N"):
        plan(cluster=cluster)
