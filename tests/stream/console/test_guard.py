"""Guard of the console: users, other sites, names of hosts and headers of security."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from stream.console.app import endpoints, make_app
from tests.stream.console.filled import TOKEN, USER, filled_console

PROXY = "10.1.2.3"
SILENCE = {"until_us": 2_000_000_000_000_000, "keys": ["web-*"]}


def client_of(
    base: str = "http://127.0.0.1", client: tuple[str, int] = ("127.0.0.1", 1), **section: Any
) -> TestClient:
    app = make_app(filled_console(keys=3, hours=0.1, **section))
    return TestClient(app, base_url=base, client=client)


def csrf(client: TestClient, **headers: str) -> str:
    return str(client.get("/api/status", headers=headers).json()["csrf"])


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/nothing", "/nothing", "/healthz"])
def test_every_answer_has_the_headers_of_security(path: str) -> None:
    headers = client_of().get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:6058", 200),
        ("localhost:6058", 200),
        ("[::1]:6058", 200),
        ("192.168.7.5", 200),
        ("console.example.org", 200),
        ("CONSOLE.example.org:443", 200),
        ("evil.example.org", 421),
        ("127.0.0.1.evil.example.org", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_a_name_that_another_site_may_own_is_refused(host: str, status: int) -> None:
    client = client_of(hosts=("console.example.org",))
    answer = client.get("/api/status", headers={"Host": host})
    assert answer.status_code == status
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "endpoint", [e for e in endpoints() if e.method != "GET"], ids=lambda e: f"{e.method} {e.path}"
)
def test_no_write_without_its_token(endpoint: Any) -> None:
    """Anonymous, a wrong token, no CSRF token, that of another user, and another origin."""
    client = client_of()
    path = endpoint.path.replace("{kind}", "rule").replace("{name}", "quiet-pumps")
    mine = {"Authorization": f"Bearer {TOKEN}"}
    token = csrf(client, **mine)
    attempts: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer wrong", "X-Ember-CSRF": token},
        {"Authorization": f"Basic {TOKEN}", "X-Ember-CSRF": token},
        {"Authorization": "Bearer", "X-Ember-CSRF": token},
        mine,
        mine | {"X-Ember-CSRF": csrf(client)},
        mine | {"X-Ember-CSRF": token, "Origin": "http://evil.example.org"},
    ]
    if endpoint.changes:
        attempts.append({"X-Ember-CSRF": csrf(client)})
    for headers in attempts:
        answer = client.request(endpoint.method, path, headers=headers, json={})
        assert answer.status_code == 403, headers
        assert answer.json()["error"].endswith(".")
    assert len(client.get("/api/control").json()["documents"]) == 1


def test_a_request_of_the_own_page_is_taken() -> None:
    client = client_of()
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "http://127.0.0.1"}
    headers["X-Ember-CSRF"] = csrf(client, **headers)
    answer = client.post("/api/silence", headers=headers, json=SILENCE)
    assert answer.status_code == 200
    assert answer.json()["document"]["author"] == USER


@pytest.mark.parametrize(
    ("address", "status"), [(PROXY, 200), ("10.1.2.4", 403), ("127.0.0.1", 403), ("bad", 403)]
)
def test_the_header_of_a_proxy_is_believed_from_its_address_only(address: str, status: int) -> None:
    client = client_of(
        client=(address, 7),
        token="",
        user_header="X-Forwarded-Email",
        trusted_proxies=(f"{PROXY}/32",),
    )
    headers = {"X-Forwarded-Email": "bob@example.org"}
    headers["X-Ember-CSRF"] = csrf(client, **headers)
    answer = client.post("/api/silence", headers=headers, json=SILENCE)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["document"]["author"] == "bob@example.org"


@pytest.mark.parametrize("name", ["", " ", "x" * 300, "a\tb"])
def test_a_proxy_has_to_name_somebody(name: str) -> None:
    client = client_of(client=(PROXY, 7), user_header="X-Forwarded-Email", trusted_proxies=(PROXY,))
    status = client.get("/api/status", headers={"X-Forwarded-Email": name}).json()
    assert (status["user"], status["can_write"]) == (None, False)


def test_without_any_setting_the_console_is_read_only() -> None:
    client = client_of(token="", user="")
    answer = client.post("/api/silence", headers={"X-Ember-CSRF": csrf(client)}, json=SILENCE)
    assert answer.status_code == 403
    assert "read-only" in answer.json()["error"]


def test_a_token_is_no_answer_anywhere() -> None:
    client = client_of()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/api/status", "/api/health", "/api/control", "/api/openapi.json", "/"):
        assert TOKEN not in client.get(path, headers=headers).text
