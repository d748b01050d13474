"""Silences and acknowledgements: what each receiver is told, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stream.bridge._alerts import Alert, AlertId
from stream.bridge._orders import Orders
from stream.control import Acknowledgement, ControlSet, Document, Silence
from stream.records import fingerprint
from tests.serving import serving
from tests.stream.bridge.fakes import FakeReceiver, incident, trigger
from tests.stream.bridge.receiving import Receiving
from tests.stream.bridge.test_alerts import NOW, A


@pytest.fixture
def server() -> Iterator[FakeReceiver]:
    with serving(FakeReceiver()) as started:
        yield started


def orders(*bodies: Any) -> Orders:
    documents = [
        Document(name=f"d{n}", author="ann", time="2026-01-31T00:00:00Z", body=body)
        for n, body in enumerate(bodies)
    ]
    return Orders(ControlSet.of(documents))


def silence(seconds: float = 600.0, **patterns: tuple[str, ...]) -> Silence:
    return Silence(until=(NOW + timedelta(seconds=seconds)).isoformat(), **patterns)


def webhook(server: FakeReceiver) -> Receiving:
    return Receiving("webhook", url=server.url, group_interval_seconds=10.0)


def keys(server: FakeReceiver) -> list[list[tuple[str, str]]]:
    return [[(a["labels"]["key"], a["status"]) for a in post["alerts"]] for post in server.posts]


def test_a_silenced_alert_is_sent_when_the_silence_ends(server: FakeReceiver) -> None:
    receiving = webhook(server)
    receiving.orders = orders(silence(600.0, keys=("rack7-*",)))
    receiving.write(trigger("rack7-a"), trigger("rack7-b"), trigger("rack8-a"))
    receiving.run(300.0)
    assert keys(server) == [[("rack8-a", "firing")]]
    receiving.start()  # nothing is forgotten by a restart
    receiving.write(trigger("rack7-b", resolved=True))
    receiving.run(599.0)
    assert len(server.posts) == 1
    receiving.run(700.0)
    assert [entry for post in keys(server)[1:] for entry in post] == [
        ("rack7-a", "firing"),
        ("rack8-a", "firing"),
    ]


def test_a_silence_that_is_removed_ends(server: FakeReceiver) -> None:
    receiving = webhook(server)
    receiving.orders = orders(silence(1e6))
    receiving.write(trigger("a"))
    receiving.run(100.0)
    assert server.posts == []
    receiving.orders = Orders()
    receiving.run(200.0)
    assert keys(server) == [[("a", "firing")]]


def test_the_end_of_an_alert_that_was_sent_goes_out_all_the_same(server: FakeReceiver) -> None:
    receiving = webhook(server)
    receiving.write(trigger("a"))
    receiving.run(60.0)
    receiving.orders = orders(silence(1e6))
    receiving.write(trigger("a", updated=True, channels=("disk",)))
    receiving.run(120.0)
    assert len(server.posts) == 1
    receiving.write(trigger("a", resolved=True))
    receiving.run(180.0)
    assert keys(server)[1:] == [[("a", "resolved")]]


def test_alertmanager_keeps_an_alert_that_was_silenced_after_it_was_sent(
    server: FakeReceiver,
) -> None:
    receiving = Receiving("alertmanager", urls=server.url, resend_seconds=30.0)
    receiving.write(trigger("a"))
    receiving.run(5.0)
    receiving.orders = orders(silence(1_000.0))
    receiving.write(trigger("a", updated=True, channels=("disk",)), trigger("b"))
    before = len(server.posts)
    receiving.run(95.0)
    labels = [alert["labels"] for post in server.posts[before:] for alert in post]
    assert labels
    assert {each["key"] for each in labels} == {"a"}
    assert not [each for each in labels if "escalation" in each]
    receiving.run(1_100.0)
    labels = [alert["labels"] for post in server.posts for alert in post]
    assert {(each["key"], each.get("escalation")) for each in labels} == {
        ("a", None),
        ("a", "disk"),
        ("b", None),
    }


@pytest.mark.parametrize(
    ("patterns", "body", "is_silenced"),
    [
        ({"channels": ("cpu*",)}, trigger("a"), True),
        ({"channels": ("disk",)}, trigger("a"), False),  # it does not lead
        ({"keys": ("b",), "channels": ("cpu",)}, trigger("a"), False),
        ({"keys": ("disk[0]",)}, trigger("disk[0]"), True),
        ({"keys": ("host-*",)}, incident("firing", "warning"), True),
        ({"keys": ("host-[01]",)}, incident("firing", "warning"), False),  # not all of its keys
        ({}, incident("firing", "warning"), True),
    ],
)
def test_a_silence_is_for_keys_and_the_leading_channel(
    server: FakeReceiver, patterns: dict[str, tuple[str, ...]], body: bytes, is_silenced: bool
) -> None:
    receiving = webhook(server)
    receiving.orders = orders(silence(1e6, **patterns))
    receiving.write(body)
    receiving.run(60.0)
    assert (server.posts == []) is is_silenced


def test_an_acknowledged_alert_is_not_repeated(server: FakeReceiver) -> None:
    receiving = webhook(server)
    receiving.write(trigger("a"))
    receiving.run(60.0)
    (alert,) = receiving.table
    receiving.orders = orders(Acknowledgement(event=alert.fingerprint))
    receiving.write(trigger("a", updated=True, channels=("disk",)))
    receiving.run(120.0)
    assert len(server.posts) == 1
    receiving.write(trigger("b"))
    receiving.run(180.0)
    receiving.write(trigger("a", resolved=True))
    receiving.run(240.0)
    assert keys(server)[1] == [("b", "firing")]
    assert ("a", "resolved") in keys(server)[2]


@pytest.mark.parametrize("event", ["0123456789abcdef", "0123456789ab", "i-1", "fingerprint"])
@pytest.mark.parametrize("started", [-1, 1])
def test_an_acknowledgement_names_an_event_or_the_present_alert(event: str, started: int) -> None:
    labels = {"alertname": "EmberFiring", "key": "a"}
    alert = Alert(
        AlertId(A, tuple(sorted(labels.items()))),
        0,
        datetime(2026, 1, 31, tzinfo=UTC) + timedelta(seconds=started),
        labels,
        names=["0123456789abcdef", "i-1"],
    )
    name = fingerprint(labels) if event == "fingerprint" else event
    text = orders(Acknowledgement(event=name)).acknowledgement(alert)
    if event == "fingerprint" and started > 0:
        assert text == ""  # it fires anew since
    else:
        assert text == "acknowledged by ann, 2026-01-31 00:00 UTC"
    assert orders(Acknowledgement(event="other")).acknowledgement(alert) == ""
