"""Requests: what the protocol asks for, failures that are waited for, refusals that are halved."""

from __future__ import annotations

import base64
from collections import Counter
from typing import Any

import pytest

from stream.remote_write._refusals import advice
from stream.remote_write._rows import KeyRows, table_of
from stream.remote_write._sender import Sender
from stream.settings import Settings
from tests.stream.remote_write.scored import CHANNELS, SECOND_US, START_US, FakeStore, scored, store


class Sending:
    """A sender whose clock moves when it sleeps."""

    def __init__(self, url: str, **own: Any) -> None:
        self.now = 1_000.0
        self.results: Counter[str] = Counter()
        self.samples: Counter[str] = Counter()
        own = {"samples_per_second": 1e9, **own}
        self.sender = Sender(
            Settings(remote_write={"url": url, **own}).remote_write,
            lambda key: {"site": key.partition("-")[0]},
            lambda: self.now,
            lambda result: self.results.update([result]),
            lambda outcome, count: self.samples.update({outcome: count}),
            self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def put(self, key: bytes, rows: int) -> KeyRows:
        batch = scored([key] * rows, [START_US + 60 * SECOND_US * n for n in range(rows)])
        keyed = KeyRows("telemetry", key, CHANNELS, batch.time_us, table_of(batch))
        self.sender.put([keyed])
        return keyed


def test_series_have_names_labels_and_milliseconds() -> None:
    with store() as server:
        sending = Sending(server.url)
        keyed = sending.put(b"web-1", 7)
        assert sending.sender.send()
        points = server.series("ember_value", "web-1", channel="disk", site="web")
        assert points == [
            (START_US // 1_000 + 60_000 * n, 60.0 * n % 3600 + 1 + START_US / 1e6 % 3600)
            for n in range(7)
        ]
        assert len(server.series("ember_evidence", "web-1", site="web")) == 7
        assert server.series("ember_usual", "web-1", channel="latency", site="web") == []
        headers = server.headers[0]
        assert headers["Content-Encoding"] == "snappy"
        assert headers["Content-Type"] == "application/x-protobuf"
        assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
        assert (sending.samples["accepted"], sending.sender.waiting) == (keyed.samples, 0)


def test_a_key_of_any_bytes_is_a_label() -> None:
    with store() as server:
        sending = Sending(server.url)
        sending.put(b"rack\xff\n7", 1)
        sending.sender.send()
        assert server.keys() == {r"rack\xff\x0a7"}


def test_requests_are_cut_to_a_size() -> None:
    with store() as server:
        sending = Sending(server.url, samples_per_request=100)
        for number in range(5):
            sending.put(b"web-%d" % number, 23)
        assert sending.sender.send()
        sizes = [sum(len(s.samples) for s in r.timeseries) for r in server.requests]
        assert max(sizes) <= 100
        assert sum(sizes) == sending.samples["accepted"]
        assert len(server.series("ember_value", "web-4", channel="cpu", site="web")) == 23


def test_a_rate_is_kept() -> None:
    with store() as server:
        sending = Sending(server.url, samples_per_request=100, samples_per_second=50)
        keyed = sending.put(b"web-1", 23)
        while not sending.sender.send():
            sending.now += 1
        assert sending.now - 1_000 >= (keyed.samples - 100) / 50


def test_an_outage_is_waited_for_and_nothing_is_lost() -> None:
    with store() as server:
        sending = Sending(server.url, samples_per_request=100)
        keyed = sending.put(b"web-1", 23)
        server.status, server.fault = 503, "wait"
        assert not sending.sender.send()
        assert "503" in sending.sender.trouble
        server.status = 204
        assert not sending.sender.send()  # the back-off is not over
        sending.now += 1.5
        assert sending.sender.send()
        assert sending.sender.trouble == ""
        assert sending.samples == {"accepted": keyed.samples}
        times = [
            time for time, _ in server.series("ember_value", "web-1", channel="cpu", site="web")
        ]
        assert times == sorted(set(times))
        assert len(times) == 23


class Picky(FakeStore):
    """Refuses samples before a time, and one key."""

    since_ms = START_US // 1_000 + 60_000 * 11

    def refuses(self, labels: dict[str, str], point: tuple[int, float]) -> bool:
        return labels["key"] == "web-bad" or point[0] < self.since_ms


def test_a_refused_sample_takes_no_others_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.stream.remote_write.scored.FakeStore", Picky)
    with store() as server:
        sending = Sending(server.url)
        good = [sending.put(key, 23) for key in (b"web-1", b"web-2")]
        bad = sending.put(b"web-bad", 1)
        assert sending.sender.send()
        for key in ("web-1", "web-2"):
            times = [t for t, _ in server.series("ember_value", key, channel="cpu", site="web")]
            assert times == [Picky.since_ms + 60_000 * n for n in range(12)]
        assert server.keys() == {"web-1", "web-2"}
        total = sum(keyed.samples for keyed in (*good, bad))
        assert sending.samples["accepted"] + sending.samples["refused"] == total
        assert sending.samples["accepted"] == sum(keyed.part(11).samples for keyed in good)


def test_a_store_that_refuses_everything_gets_a_bounded_number_of_requests() -> None:
    with store() as server:
        server.status, server.fault = 400, "out of bounds"
        sending = Sending(server.url, samples_per_request=100_000)
        keyed = sending.put(b"web-1", 503)
        assert sending.sender.send()
        assert sending.samples == {"refused": keyed.samples}
        assert len(server.headers) <= 64 + 10
        assert sending.sender.waiting == 0


def test_an_outage_amid_halves_loses_nothing() -> None:
    with store() as server:
        sending = Sending(server.url)
        keyed = sending.put(b"web-1", 8)
        answers = iter([400, 204, 503])

        def take(body: bytes) -> tuple[int, str]:
            status = next(answers, 204)
            return FakeStore.take(server, body) if status == 204 else (status, "")

        server.take = take  # type: ignore[method-assign]
        assert not sending.sender.send()
        sending.now += 2
        assert sending.sender.send()
        assert sending.samples == {"accepted": keyed.samples}
        times = [t for t, _ in server.series("ember_value", "web-1", channel="cpu", site="web")]
        assert times == (keyed.time_us // 1_000).tolist()


@pytest.mark.parametrize(
    ("own", "header", "value"),
    [
        ({"token": "secret-7"}, "Authorization", "Bearer secret-7"),
        (
            {"username": "me", "password": "secret-7"},
            "Authorization",
            f"Basic {base64.b64encode(b'me:secret-7').decode()}",
        ),
        ({"tenant": "team-a"}, "X-Scope-OrgID", "team-a"),
    ],
)
def test_credentials_and_tenant(own: dict[str, str], header: str, value: str) -> None:
    with store() as server:
        sending = Sending(server.url, **own)
        sending.put(b"web-1", 1)
        sending.sender.send()
        assert server.headers[0][header] == value


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("400 Bad Request: out of order sample", "out_of_order_time_window` of 3h"),
        ("400 Bad Request: out of bounds", "prometheus.yml"),
        ("400: the sample has been rejected because its timestamp is too old", "prometheus.yml"),
        ("400 Bad Request: duplicate sample for timestamp", "remote_write.labels"),
        (
            "404 Not Found: remote write receiver needs to be enabled",
            "--web.enable-remote-write-receiver",
        ),
        ("401 Unauthorized: no org id", "remote_write.tenant"),
        ("404 Not Found: 404 page not found", "/api/v1/push"),
        ("500 Internal Server Error", ""),
    ],
)
def test_refusals_say_what_to_do(error: str, words: str) -> None:
    section = Settings(remote_write={"before_seconds": 5_400}).remote_write
    sentence = advice(error, section)
    assert words in sentence
    assert (error in sentence) == bool(words)
