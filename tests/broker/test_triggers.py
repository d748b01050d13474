"""`ember triggers`, and the alerts that `ember state` ends: on triggers that the engine wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.kafka_client import Send
from ember_core.pipeline import FleetModel
from stream.cli.options import InputTopicOptions, OutputTopicOptions
from stream.cli.state import rebase, reset
from stream.cli.triggers import close, list_
from stream.engine import META_KEY, Engine, Limits, SliceOffsets
from stream.errors import UserError
from stream.records import Event, cloudevent_headers
from tests.broker.conftest import Broker
from tests.e2e.service import Service, wait_until
from tests.stream.engine.alerts import faulty, open_alerts
from tests.stream.engine.conftest import CHANNELS, KNOWN, decoded, fit

pytestmark = pytest.mark.broker

PARTITION = 1
ALL = {("EmberFiring", "a"), ("EmberChannelMissing", "a"), ("EmberKeyStale", "b")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FleetModel:
    path = tmp_path_factory.mktemp("bundles") / "small"
    fit(KNOWN, CHANNELS).save(path)
    return FleetModel.load(path, backend="numpy")


class Topics:
    """Input, changelog and triggers of a worker that was stopped while keys had open alerts."""

    def __init__(
        self, broker: Broker, model: FleetModel, patch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        patch.chdir(folder)
        self.broker, self.topic = broker, broker.topic("in", 2)
        self.group = group = broker.name("g")
        self.triggers = f"{self.topic}.triggers"
        self.changelog = f"{group}-state-{self.topic}-changelog"
        broker.create({self.changelog: 2})
        broker.create({self.triggers: 1})
        patch.setenv("EMBER_INPUT__TOPICS", json.dumps([self.topic]))
        patch.setenv("EMBER_KAFKA__GROUP", group)
        patch.setenv("EMBER_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap)
        feed, tp = faulty(), (self.topic, PARTITION)
        broker.produce(self.topic, [Send(b"x", b"y", partition=PARTITION) for _ in feed])
        engine = Engine(model, None, Limits(max_keys=64, stale_intervals=5.0))
        engine.attach(tp)
        engine.open(tp, 0, -1)
        offsets = SliceOffsets(np.arange(len(feed)), np.full(len(feed), 2**43))
        events = engine.step(tp, decoded(feed, len(CHANNELS)), offsets).events
        self.events = [event for event in events if event.kind == "trigger"]
        assert {name[:2] for name in open_alerts(self.events)} == ALL
        self.write(self.events)
        engine.meta(tp).partition_count = 2
        dirty = engine.take_dirty(tp)
        committed = [("ember.committed", b"-1")]
        broker.produce(
            self.changelog,
            [
                Send(key, row, 0, PARTITION, committed if key == META_KEY else ())
                for key, row in zip(dirty.keys, dirty.rows, strict=True)
            ],
        )

    def write(self, events: list[Event]) -> None:
        """Send triggers as a worker does."""
        self.broker.produce(
            self.triggers,
            [Send(e.key, e.body, 0, 0, cloudevent_headers(e, "/ember-stream/g")) for e in events],
        )

    def open(self) -> set[tuple[str, str]]:
        """Alerts that are open by the topic, as the bridge reads it."""
        alerts: dict[str, tuple[str, str]] = {}
        for record in self.broker.consume_all(self.triggers):
            body = json.loads(record.value or b"")
            if body["status"] == "resolved":
                alerts.pop(body["fingerprint"], None)
            else:
                alerts[body["fingerprint"]] = body["labels"]["alertname"], body["labels"]["key"]
        return set(alerts.values())

    def added(self, *, repeated: bool = False) -> list[dict[str, Any]]:
        """Triggers that a command, or a worker that may repeat itself, has written."""
        records = self.broker.consume_all(self.triggers)[len(self.events) :]
        ids = [dict(record.headers)["ce_id"] for record in records]
        assert repeated or len(set(ids)) == len(ids)
        return [json.loads(record.value or b"") for record in records]


@pytest.fixture
def topics(
    broker: Broker, model: FleetModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Topics:
    return Topics(broker, model, monkeypatch, tmp_path)


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Alerts that `ember triggers list` shows."""
    capsys.readouterr()
    list_(json=True)
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["open"]
    return found


def test_open_alerts_are_shown(topics: Topics, capsys: pytest.CaptureFixture[str]) -> None:
    alerts = listed(capsys)
    assert {(a["labels"]["alertname"], a["key"]) for a in alerts} == topics.open() == ALL
    list_()
    text = capsys.readouterr().out
    for alert in alerts:
        assert alert["fingerprint"] in text


def test_an_operator_closes_what_is_named_and_no_more(
    topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"3 alerts would be closed.*--yes"):
        close(every=True)
    assert topics.added() == []
    (stale,) = [a for a in listed(capsys) if a["labels"]["alertname"] == "EmberKeyStale"]
    close(fingerprint=(stale["fingerprint"],), yes=True)
    assert topics.open() == ALL - {("EmberKeyStale", "b")}
    close(["a"], yes=True)
    assert topics.open() == set()
    assert listed(capsys) == []
    close(every=True, yes=True)  # nothing is left, and nothing is written
    bodies = topics.added()
    assert [body["reason"] for body in bodies] == ["closed by operator"] * 3
    for body in bodies:
        assert body["endsAt"] >= body["startsAt"]
        assert "closed by an operator" in body["annotations"]["summary"]


def test_alerts_that_are_not_open_are_refused(topics: Topics) -> None:
    with pytest.raises(UserError, match="No alert is open of: 'nobody'"):
        close(["a", "nobody"], yes=True)
    with pytest.raises(UserError, match="Expected keys, --fingerprint or --all"):
        close(yes=True)
    with pytest.raises(UserError, match="one of these only"):
        close(["a"], every=True, yes=True)
    assert topics.open() == ALL


def test_a_later_end_of_the_worker_is_the_end_of_the_same_alert(topics: Topics) -> None:
    """The worker's state still holds the episode open: it resolves it again, or begins another."""
    close(["a"], yes=True)
    firing = next(e for e in topics.events if b"EmberFiring" in e.body and b'"firing"' in e.body)
    topics.write([firing])  # a replay after a crash
    assert topics.open() == {("EmberFiring", "a"), ("EmberKeyStale", "b")}
    close(["a"], yes=True)
    assert topics.open() == {("EmberKeyStale", "b")}


def test_a_foreign_record_in_the_topic_is_left_alone(topics: Topics) -> None:
    topics.broker.produce(
        topics.triggers,
        [Send(b"z", value, 0, 0) for value in (b"no json", b"[]", b'{"labels": {}}')],
    )
    close(every=True, yes=True, source=OutputTopicOptions(topic=topics.triggers))
    closed = topics.broker.consume_all(topics.triggers)[len(topics.events) + 3 :]
    assert {json.loads(record.value or b"")["labels"]["key"] for record in closed} == {"a", "b"}


def test_a_reset_resolves_the_alerts_of_its_keys(topics: Topics) -> None:
    with pytest.raises(UserError, match="1 keys would be forgotten, 2 open alerts resolved"):
        reset(["a"])
    assert topics.open() == ALL
    reset(["a"], yes=True, source=InputTopicOptions(topic=topics.topic))
    assert topics.open() == {("EmberKeyStale", "b")}
    assert {body["reason"] for body in topics.added()} == {"reset"}


def test_a_rebase_resolves_what_no_row_holds_open(
    topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    """The row of `a` was lost with its changelog; that of `b` was not."""
    topics.broker.produce(topics.changelog, [Send(b"a", None, 0, PARTITION)])
    rebase(at="earliest", yes=True)
    assert topics.open() == {("EmberKeyStale", "b")}
    assert {body["reason"] for body in topics.added()} == {"rebase"}
    assert "2 open alerts are resolved" in capsys.readouterr().err


def test_a_rebase_keeps_what_its_rows_hold_open(topics: Topics) -> None:
    rebase(at="earliest", yes=True)
    assert topics.open() == ALL


def test_a_start_with_other_channels_resolves_what_they_gave_up_once(
    topics: Topics, tmp_path: Path
) -> None:
    """Also where the worker is killed and starts again."""
    fit(KNOWN, (*CHANNELS, "noise"), rows=211).save(tmp_path / "wider")
    config = tmp_path / "ember.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{topics.broker.bootstrap}"\ngroup = "{topics.group}"\n'
        f'[input]\ntopics = ["{topics.topic}"]\n'
        '[model]\npath = "wider"\n[checkpoint]\ninterval_seconds = 0.3\n'
        "[window]\nstale_intervals = 5\n[http]\nport = 0\n"
        "[state]\nstandby_replicas = 0\nsnapshot_interval_seconds = 0\n"
    )
    for _ in range(2):
        with Service(tmp_path, config, embedded=not topics.broker.real) as service:
            wait_until("the end", lambda: topics.open() == {("EmberKeyStale", "b")}, service)
            wait_until("the start", lambda: "Running with" in service.log.read_text(), service)
            service.kill()
        service.log.unlink()
    bodies = {json.dumps(body, sort_keys=True) for body in topics.added(repeated=True)}
    assert len(bodies) == 2
    assert {json.loads(body)["reason"] for body in bodies} == {"channels"}
