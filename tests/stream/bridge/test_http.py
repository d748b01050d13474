"""Requests of all receivers by HTTP: how long they wait, whom they trust, which way they go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stream.bridge._http import BackOff, Endpoint, NotAcceptedError, UnavailableError, _retry_after
from stream.observe import BridgeHealth
from stream.settings import WebhookSection
from tests.serving import serving
from tests.stream.bridge.fake_smtp import certificate
from tests.stream.bridge.fakes import FakeReceiver, _Handler


@pytest.fixture
def server() -> Iterator[FakeReceiver]:
    with serving(FakeReceiver()) as started:
        yield started


def endpoint(url: str, **settings: Any) -> Endpoint:
    return Endpoint(url, WebhookSection(**settings), "webhook")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("30", 30.0),
        ("-5", 0.0),
        ("1e9", 900.0),
        ("inf", 900.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        (formatdate(4_000_000_000, usegmt=True), 900.0),
        ("Thu, 99 Foo 1970", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_bounded(header: str | None, seconds: float) -> None:
    assert _retry_after(header) == seconds


def test_the_wait_is_theirs_where_they_say_one() -> None:
    now = [0.0]
    back_off = BackOff(lambda: now[0])
    for _ in range(5):
        back_off.failed(UnavailableError("away"))
    assert not back_off.is_over
    for asked, wait in ((60.0, 60.0), (3.0, 3.0), (0.01, 1.0)):
        back_off.failed(UnavailableError("busy", retry_after=asked))
        begin = now[0]
        for now[0], is_over in ((begin + wait - 0.1, False), (begin + wait, True)):
            assert back_off.is_over is is_over
    back_off.failed(UnavailableError("away"))
    now[0] += 29.0
    assert not back_off.is_over
    assert back_off.accepted()
    assert not back_off.accepted()


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize(
    "echo",
    [
        "no hook at /hook/T0/s3cretpath0?key=hunter2%2B&x=1",
        "unknown key hunter2+",
        "the key hunter2%2B is not known",
        "Bearer t0ken0fours is not known",
        "t0ken0fours?",
        "no s3cretpath0",
        "routing key r0uting is not known",
        "token=an0ther",
    ],
)
def test_an_answer_does_not_give_secrets_away(
    server: FakeReceiver, monkeypatch: pytest.MonkeyPatch, status: int, echo: str
) -> None:
    """Receivers repeat what they were asked; the sentence goes to /readyz, which anybody reads."""
    monkeypatch.setattr(server, "respond", lambda *_: (status, echo))
    url = f"{server.url}/hook/T0/s3cretpath0?key=hunter2%2B&x=1"
    headers = {"Authorization": "Bearer t0ken0fours"}
    section = WebhookSection()
    receiver = Endpoint(url, section, "webhook", headers, secrets=["r0uting"])
    with pytest.raises((NotAcceptedError, UnavailableError)) as caught:
        receiver.post({})
    secrets = ("hunter2", "t0ken0fours", "s3cretpath0", "r0uting", "an0ther")
    assert not [secret for secret in secrets if secret in str(caught.value)]
    health = BridgeHealth(0.0)
    health.receiver(echo)
    assert "an0ther" not in str(health.ready(0.0))


def test_a_control_topic_that_is_lost_is_told() -> None:
    health = BridgeHealth(0.0)
    names = [check.name for check in health.ready(0.0).checks]
    health.control("topic 'g-control' cannot be read (down)")
    (check,) = [check for check in health.ready(0.0).checks if check.name not in names]
    assert (check.name, check.ok) == ("control", False)
    assert "g-control" in check.detail
    health.control("")
    assert [check.name for check in health.ready(0.0).checks] == names


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusal_is_told_from_a_failure(server: FakeReceiver, status: int) -> None:
    server.status = status
    with pytest.raises(NotAcceptedError, match=str(status)):
        endpoint(server.url).post({})
    server.status = 500
    with pytest.raises(UnavailableError, match="500"):
        endpoint(server.url).post({})


def test_a_receiver_that_hangs_is_left() -> None:
    release = threading.Event()

    class Hanging(ThreadingHTTPServer):
        daemon_threads = True

        def process_request(self, request: Any, client_address: Any) -> None:
            release.wait(30)
            self.shutdown_request(request)

    with serving(Hanging(("127.0.0.1", 0), _Handler)) as hanging:
        url = f"http://127.0.0.1:{hanging.server_port}"
        try:
            with pytest.raises(UnavailableError, match="timed out"):
                endpoint(url, timeout_seconds=0.2).post({})
        finally:
            release.set()


@pytest.mark.parametrize("is_known", [True, False])
def test_only_known_authorities_are_trusted(tmp_path: Path, is_known: bool) -> None:
    import ssl

    pem = certificate(tmp_path)
    server = FakeReceiver()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    with serving(server):
        url = f"https://127.0.0.1:{server.server_port}"
        receiver = endpoint(url, ca_location=pem if is_known else None)
        if is_known:
            assert receiver.post({}).status == 200
        else:
            with pytest.raises(UnavailableError, match=r"(?i)certificate"):
                receiver.post({})


def test_the_proxy_of_the_environment_is_used_and_its_exceptions(
    server: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(FakeReceiver()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        endpoint("http://hooks.example/a").post({})
        assert proxy.seen == ["http://hooks.example/a"]
        endpoint(server.url + "/b").post({})
        assert server.seen == ["/b"]


def test_an_answer_without_end_is_read_in_part(server: FakeReceiver) -> None:
    server.respond = lambda *_: (200, "x" * 1_000_000)  # type: ignore[method-assign]
    assert len(endpoint(server.url).post({}).body) <= 70_000
