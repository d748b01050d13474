"""Tokens: fetched once, renewed in time, refusals said plainly."""

from __future__ import annotations

import base64
import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stream.errors import UserError
from stream.kafka.client.oauth import AsyncTokens, TokenSource, _warn_of_plain
from stream.kafka.config import security
from stream.settings import KafkaSection, Settings, SettingsError
from stream.tools.clients import client_config


class Endpoint(BaseHTTPRequestHandler):
    """Gives tokens to one client."""

    asked: ClassVar[list[dict[str, str]]] = []
    answer: ClassVar[tuple[int, Any]] = (200, None)

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        _, _, basic = self.headers["Authorization"].partition(" ")
        login = base64.b64decode(basic).decode()
        self.asked.append({**dict(urllib.parse.parse_qsl(form)), "login": login})
        code, body = self.answer
        token = {"access_token": f"token-{len(self.asked)}", "expires_in": 100}
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body or token).encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def kafka() -> Iterator[KafkaSection]:
    """Settings with an endpoint on this host."""
    Endpoint.asked, Endpoint.answer = [], (200, None)
    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield KafkaSection(
            security_protocol="SASL_SSL",
            sasl_mechanism="OAUTHBEARER",
            sasl_oauth_token_url=f"http://127.0.0.1:{server.server_port}/token",
            sasl_oauth_client_id="ember",
            sasl_oauth_client_secret="a+b c",
            sasl_oauth_scope="kafka",
        )
        server.shutdown()
        thread.join()


async def test_a_token_is_used_for_four_fifths_of_its_life(kafka: KafkaSection) -> None:
    """By the client-credentials grant; id and secret are the login, encoded."""
    now = 1000.0
    source = TokenSource(kafka, clock=lambda: now)
    assert source.token() == ("token-1", 1100.0)
    now = 1079.0
    assert await AsyncTokens(source).token() == "token-1"
    now = 1080.0
    assert source.token() == ("token-2", 1180.0)
    assert Endpoint.asked[0] == {
        "grant_type": "client_credentials",
        "scope": "kafka",
        "login": "ember:a%2Bb%20c",
    }


def test_a_refusal_is_a_sentence_and_a_failure_is_tried_again(kafka: KafkaSection) -> None:
    """4xx: this client; what is of the moment, 5xx and no answer: later; nonsense: said so."""
    source = TokenSource(kafka)
    Endpoint.answer = (401, {"error": "invalid_client"})
    with pytest.raises(UserError, match=r"refused this client.*HTTP 401") as refused:
        source.token()
    assert "a+b" not in refused.value.message
    for status in (408, 425, 429, 500, 503):
        Endpoint.answer = (status, {})
        with pytest.raises(OSError, match=str(status)):
            source.token()
    Endpoint.answer = (200, {"token": 1})
    with pytest.raises(UserError, match="Expected JSON with `access_token`"):
        source.token()
    Endpoint.answer = (200, None)
    assert source.token()[0].startswith("token-")


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://id.example/token", True),
        ("http://10.0.0.7:8080/token", True),
        ("http://localhost.example/token", True),
        ("https://id.example/token", False),
        ("http://localhost:8080/token", False),
        ("http://127.0.0.7/token", False),
        ("http://[::1]:8080/token", False),
    ],
)
def test_a_secret_in_clear_is_warned_of_once(
    url: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Without TLS, and not on this host."""
    _warn_of_plain.cache_clear()
    for _ in range(3):
        TokenSource(
            KafkaSection(
                security_protocol="SASL_SSL",
                sasl_mechanism="OAUTHBEARER",
                sasl_oauth_token_url=url,
                sasl_oauth_client_id="ember",
                sasl_oauth_client_secret="word",
            )
        )
    assert len(caplog.messages) == warned
    assert all("an https address" in message for message in caplog.messages)


def test_a_file_is_read_again_when_its_token_grows_old(tmp_path: Path) -> None:
    """The life is in the token, where it is a JSON Web Token."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1030}).encode()).decode().rstrip("=")
    path = tmp_path / "token"
    path.write_text(f"x.{claims}.y\n")
    now = 1000.0
    section = KafkaSection(
        security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", sasl_oauth_token_file=path
    )
    source = TokenSource(section, clock=lambda: now)
    assert source.token() == (f"x.{claims}.y", 1030.0)
    path.write_text("opaque")
    now = 1023.0
    assert source.token()[0] == f"x.{claims}.y"
    now = 1024.0
    assert source.token() == ("opaque", 1084.0)
    path.write_text("")
    now = 1080.0
    with pytest.raises(UserError, match="There is no token"):
        source.token()


def test_both_clients_are_given_the_tokens(kafka: KafkaSection) -> None:
    """aiokafka by a provider, librdkafka by a callback; neither gets a password."""
    found = security(kafka)
    assert isinstance(found["sasl_oauth_token_provider"], AsyncTokens)
    assert "sasl_plain_password" not in found
    assert client_config(kafka)["oauth_cb"]("")[0] == "token-1"


def test_what_lacks_is_named() -> None:
    """A token file, or an endpoint with client and secret."""
    with pytest.raises(SettingsError, match=r"sasl_oauth_client_id`, `sasl_oauth_client_secret"):
        Settings.load(
            kafka={
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.token.endpoint.url": "https://id.example/token",
            }
        )
    with pytest.raises(SettingsError, match="sasl_oauth_token_url"):
        Settings.load(kafka={"sasl_oauth_token_url": "file:///etc/passwd"})
