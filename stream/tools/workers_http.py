"""HTTP requests to running workers: their addresses, and one request with its answer."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any

from stream.errors import UserError
from stream.http_client import bearer, opener
from stream.settings import Settings

_TIMEOUT_SECONDS = 60.0  # a reload waits for a checkpoint and reads a bundle


def worker_urls(settings: Settings, urls: Sequence[str], workers: int) -> list[str]:
    """Return the addresses of workers.

    Args:
        settings: Section `http`, for the workers of this host.
        urls: Addresses that the user named; empty: the workers of this host.
        workers: Number of workers on this host, at consecutive ports.

    Raises:
        UserError: If an address is not one of HTTP.
    """
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise UserError(
                "A worker cannot be asked. Expected an address such as http://host:6066. "
                f"Received: url={url!r}.",
                exit_code=2,
            )
    if urls:
        return [url.rstrip("/") for url in urls]
    host = settings.http.host
    # A worker that listens on every interface is reached by the loopback address.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # not listened on
    host = f"[{host}]" if ":" in host else host
    return [f"http://{host}:{settings.http.port + index}" for index in range(workers)]


def request_worker(url: str, settings: Settings, *, method: str = "GET") -> dict[str, Any]:
    """Send a request to a worker and return its answer.

    Args:
        url: Address of the worker and the path.
        settings: Section `http`, for the token.
        method: HTTP method.

    Returns:
        The answer; without one, `result` is `refused` or `unreachable` and `detail` has the reason.
    """
    request = urllib.request.Request(url, method=method)  # noqa: S310  # http and https only
    token = settings.http.token.get_secret_value()
    if token:
        request.add_header("Authorization", bearer(token))
    try:
        with opener().open(request, timeout=_TIMEOUT_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        text = error.read().decode("utf-8", "replace").strip()
        if error.code == 401:
            return {"result": "refused", "detail": "It asks for another token: http.token."}
        try:
            answer = json.loads(text)  # a worker that refuses answers with JSON too
        except json.JSONDecodeError:
            return {"result": "refused", "detail": f"{error.code}: {text or error.reason}"}
        return answer
    except (OSError, HTTPException, ValueError) as error:
        return {"result": "unreachable", "detail": f"No answer: {error}"}
