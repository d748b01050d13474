"""Credentials go to the address they are meant for, and to no other."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from stream.bridge._http import Endpoint, UnavailableError, authorization
from stream.codecs import RegistryUnavailable
from stream.codecs._registry import SchemaRegistry
from stream.errors import UserError
from stream.http_client import opener
from stream.kafka.client.oauth import TokenSource
from stream.observe import HostMetrics
from stream.settings import AlertmanagerSection, KafkaSection, Settings
from stream.tools.workers_http import request_worker
from tests.serving import serving


class Server(ThreadingHTTPServer):
    """Server that redirects to `leads_to` if set, and keeps its requests."""

    status = 302
    leads_to = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, self.headers["Authorization"]))
        leads_to = self.server.leads_to
        self.send_response(self.server.status if leads_to else 200)
        if leads_to:
            self.send_header("Location", leads_to)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"no" if leads_to else b"{}")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Write no access log."""


@pytest.fixture
def here() -> Iterator[Server]:
    """Server that redirects to `elsewhere`."""
    with serving(Server()) as server:
        yield server


@pytest.fixture
def elsewhere(here: Server) -> Iterator[Server]:
    with serving(Server()) as server:
        here.leads_to = server.url + "/elsewhere"
        yield server


def registry(url: str) -> None:
    with pytest.raises(RegistryUnavailable, match=r"HTTP 30\d.*redirects are not followed"):
        SchemaRegistry(url, "ember", "word").schema(7)


def token(url: str) -> None:
    kafka = KafkaSection(
        security_protocol="SASL_SSL",
        sasl_mechanism="OAUTHBEARER",
        sasl_oauth_token_url=url,
        sasl_oauth_client_id="ember",
        sasl_oauth_client_secret="word",
    )
    with pytest.raises(UserError, match=r"HTTP 30\d.*redirects are not followed"):
        TokenSource(kafka).token()


def alertmanager(url: str) -> None:
    section = AlertmanagerSection(token="word")
    headers = authorization(section)
    with pytest.raises(UnavailableError, match=r"30\d.*redirects are not followed"):
        Endpoint(url, section, "alertmanager", headers).post([])


def worker(url: str) -> None:
    answer = request_worker(url, Settings.load(http={"token": "word"}))
    assert answer["result"] == "refused"


def page(url: str) -> None:
    host = HostMetrics("127.0.0.1", 0, [url], "word")
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{host.port}/metrics")
        request.add_header("Authorization", "Bearer word")
        with opener().open(request, timeout=10) as answer:
            assert b'ember_worker_up{worker="0"} 0.0' in answer.read()
    finally:
        host.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("asks", [registry, token, alertmanager, worker, page])
def test_credentials_do_not_follow_a_redirect(
    here: Server, elsewhere: Server, asks: Callable[[str], None], status: int
) -> None:
    here.status = status
    asks(here.url)
    assert [authorization is not None for _, authorization in here.seen] == [True]
    assert elsewhere.seen == []


def test_a_redirect_says_whereto(here: Server, elsewhere: Server) -> None:
    with pytest.raises(urllib.error.HTTPError, match=f"Found, to {elsewhere.url}/elsewhere") as it:
        opener().open(here.url, timeout=10)
    it.value.close()


def test_a_token_is_sent_as_utf_8(here: Server) -> None:
    """Tokens are sent as UTF-8, as `http.token` is compared."""
    settings: Any = Settings.load(http={"token": "sesame é"})
    request_worker(here.url, settings)
    [(_, authorization)] = here.seen
    assert authorization is not None
    assert authorization.encode("latin-1").decode() == "Bearer sesame é"
