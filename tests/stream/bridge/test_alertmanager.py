"""Requests to Alertmanager: who asks, what is tried again, what is given up."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from stream.bridge._alertmanager import Alertmanager, Cluster
from stream.bridge._alerts import AlertTable
from stream.errors import UserError
from stream.settings import AlertmanagerSection, Settings, SettingsError
from tests.stream.bridge.fakes import FakeAlertmanager, alertmanager, incident, trigger
from tests.stream.bridge.test_alerts import NOW, take

ALERTS = [{"labels": {"key": key}} for key in "abcdefg"]


@pytest.fixture
def server() -> Iterator[FakeAlertmanager]:
    with alertmanager() as found:
        yield found


class Asked:
    """A cluster with a clock of its own, and what it said of its requests."""

    def __init__(self, *servers: FakeAlertmanager, **settings: Any) -> None:
        self.now = 0.0
        self.results: list[str] = []
        urls = tuple(server.url for server in servers)
        section = AlertmanagerSection(urls=urls, **settings)
        self.cluster = Cluster(section, lambda: self.now, self.results.append)

    def deliver(self) -> bool:
        return self.cluster.deliver(ALERTS)


def test_alerts_go_to_version_2_of_the_api(server: FakeAlertmanager) -> None:
    asked = Asked(server)
    assert asked.deliver()
    assert server.seen == ["/api/v2/alerts"]
    assert server.posts == [ALERTS]
    assert server.authorization == [None]
    assert asked.results == ["accepted"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"token": "t0k"}, "Bearer t0k"),
        (
            {"username": "ember", "password": "pä:ss"},
            "Basic " + base64.b64encode("ember:pä:ss".encode()).decode(),
        ),
    ],
)
def test_credentials_are_brought(
    server: FakeAlertmanager, settings: dict[str, Any], expected: str
) -> None:
    Asked(server, **settings).deliver()
    assert server.authorization == [expected]


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503, 302])
def test_what_may_pass_is_tried_again_later_and_later(
    server: FakeAlertmanager, status: int
) -> None:
    """Not at every turn; and a redirect would take the credentials elsewhere."""
    asked = Asked(server)
    server.status = status
    assert not asked.deliver()
    assert str(status) in asked.cluster.trouble()
    assert not asked.deliver()
    assert len(server.seen) == 1
    tries = []
    for second in range(100):
        asked.now = float(second)
        before = len(server.seen)
        asked.deliver()
        if len(server.seen) > before:
            tries.append(second)
    assert tries == [1, 3, 8, 18, 48, 78]
    server.status = 200
    asked.now = 200.0
    assert asked.deliver()
    assert asked.cluster.trouble() == ""
    assert set(server.seen) == {"/api/v2/alerts"}


def test_one_bad_alert_does_not_keep_the_others(server: FakeAlertmanager) -> None:
    """Alertmanager refuses a request for one of its alerts."""
    server.answer = lambda alerts: 400 if {"labels": {"key": "c"}} in alerts else 200
    asked = Asked(server)
    assert asked.deliver()
    assert sorted(a["labels"]["key"] for a in server.accepted) == list("abdefg")
    assert asked.results.count("refused") == 1


def test_every_member_is_told_and_one_is_enough(server: FakeAlertmanager) -> None:
    """Members do not tell each other of alerts; one that is away is left alone for a while."""
    with alertmanager() as other:
        asked = Asked(server, other)
        other.status = 503
        assert asked.deliver()
        assert asked.cluster.trouble() == ""
        assert asked.deliver()
        assert (len(server.seen), len(other.seen)) == (2, 1)
        other.status = 200
        asked.now = 1.0
        assert asked.deliver()
        assert len(other.accepted) == len(ALERTS)


def test_nobody_there_is_trouble_and_no_error() -> None:
    with alertmanager() as gone:
        pass
    asked = Asked(gone)
    assert not asked.deliver()
    assert gone.url in asked.cluster.trouble()
    assert asked.results == ["failed"]


def test_authorities_that_cannot_be_read_are_said_at_once(tmp_path: Any) -> None:
    section = AlertmanagerSection(urls=("https://a:9093",), ca_location=tmp_path / "none.pem")
    with pytest.raises(UserError, match=r"alertmanager\.ca_location") as caught:
        Cluster(section, float, lambda _: None)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"urls": "alertmanager:9093"}, "http://host:9093"),
        ({"urls": "http://me:pw@host:9093"}, "without user"),
        ({"urls": "ftp://host"}, "http://host:9093"),
        ({"labels": "key=x"}, "other than alertname, key, topic"),
        ({"labels": "a-b=x"}, "names of labels"),
        ({"username": "me"}, "need each other"),
        ({"username": "me", "password": "a", "token": "b"}, "keep one of them"),
    ],
)
def test_settings_are_checked(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Settings.load(alertmanager=settings)


def test_the_link_belongs_to_all_receivers() -> None:
    with pytest.raises(SettingsError, match="link"):
        Settings.load(alerts={"link": "grafana"})
    with pytest.raises(SettingsError, match=r"`alertmanager\.link` is not a setting"):
        Settings.load(alertmanager={"link": "https://a.example"})


class Sending:
    """A receiver with a clock and a table of its own."""

    def __init__(self, server: FakeAlertmanager, link: str = "", **settings: Any) -> None:
        self.now = 0.0
        self.server = server
        section = AlertmanagerSection(urls=server.url, **settings)
        self.receiver = Alertmanager(section, link, lambda: self.now, lambda _: None)
        self.table = AlertTable(section.max_alerts)

    def send(self) -> list[dict[str, Any]]:
        """Alerts sent now."""
        before = len(self.server.accepted)
        self.receiver.send(self.table, NOW)
        return self.server.accepted[before:]


def test_an_alert_has_the_labels_of_the_settings(server: FakeAlertmanager) -> None:
    """It fires for four times as long as until it is sent again."""
    sending = Sending(server, "https://a.example/d?key={key}&t={topic}", resend_seconds=30)
    take(sending.table, trigger("rack 7/ü"), ce_id="0123456789abcdef")
    (alert,) = sending.send()
    assert alert == {
        "labels": {
            "alertname": "EmberFiring",
            "key": "rack 7/ü",
            "topic": "telemetry",
            "severity": "warning",
        },
        "annotations": {
            "summary": "rack 7/ü behaves unlike itself",
            "description": "cpu 0.9",
            "channels": "cpu 71%, disk 29%",
            "explain": "ember explain 0123456789ab",
        },
        "startsAt": "2026-01-31T00:00:00.000Z",
        "endsAt": "2026-02-01T00:02:00.000Z",
        "generatorURL": "https://a.example/d?key=rack%207%2F%C3%BC&t=telemetry",
    }


def test_firing_alerts_are_sent_again_and_ends_are_not(server: FakeAlertmanager) -> None:
    sending = Sending(server)
    for n in range(600):
        take(sending.table, trigger(f"host-{n}"), n)
    assert len(sending.send()) == 600
    assert len(server.posts) == 3
    assert sending.send() == []
    take(sending.table, trigger("host-7", resolved=True), 700)
    (ended,) = sending.send()
    assert ended["endsAt"] == "2026-01-31T00:05:00.000Z"
    sending.now = 60.0
    assert len(sending.send()) == 599
    assert sending.send() == []


def test_an_end_while_alertmanager_is_away_is_sent_once(server: FakeAlertmanager) -> None:
    sending = Sending(server)
    for key in "ab":
        take(sending.table, trigger(key))
    sending.send()
    server.status = 503
    sending.now = 60.0
    assert sending.send() == []
    assert sending.receiver.overdue == 2
    assert "503" in sending.receiver.trouble
    take(sending.table, trigger("a", resolved=True), 1)
    server.status = 200
    sending.now = 70.0
    sent = sending.send()
    assert sorted(a["labels"]["key"] for a in sent) == ["a", "b"]
    assert [a["endsAt"] for a in sent if a["labels"]["key"] == "a"] == ["2026-01-31T00:05:00.000Z"]
    assert (sending.receiver.overdue, sending.receiver.trouble) == (0, "")


def test_an_episode_that_grows_is_one_more_alert_and_ends_with_it(
    server: FakeAlertmanager,
) -> None:
    """By its channel: nothing else of a known alert would make Alertmanager tell anybody."""
    sending = Sending(server)
    take(sending.table, trigger("a"))
    (first,) = sending.send()
    take(sending.table, trigger("a", updated=True), 1)
    grown = sending.send()
    assert [alert["labels"] for alert in grown] == [
        first["labels"],
        {**first["labels"], "escalation": "cpu"},
    ]
    take(sending.table, trigger("a", resolved=True), 2)
    ended = sending.send()
    assert [alert["labels"].get("escalation", "") for alert in ended] == ["", "cpu"]
    assert {alert["endsAt"] for alert in ended} == {"2026-01-31T00:05:00.000Z"}


def test_a_higher_class_of_an_incident_is_an_alert_of_its_own(server: FakeAlertmanager) -> None:
    """Alertmanager tells of nothing else that changes; labels stay as they were."""
    sending = Sending(server, source="incidents")
    for offset, (status, name) in enumerate(
        [("firing", "warning"), ("updated", "warning"), ("updated", "critical")]
    ):
        take(sending.table, incident(status, name), offset)
        sent = [alert["labels"] for alert in sending.send()]
    assert [labels.get("escalation") for labels in sent] == [None, "critical"]
    assert {labels["class"] for labels in sent} == {"warning"}
    take(sending.table, incident("resolved", "critical"), 4)
    assert len(sending.send()) == 2
    assert sending.table.firing == 0
