"""What commands ask of running workers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from stream.errors import UserError
from stream.http_client import bearer, opener
from stream.settings import Settings

_SECONDS = 60.0  # a checkpoint, and reading a bundle


@dataclass(frozen=True)
class WorkerOptions:
    """Which workers a command speaks to, and how it answers.

    Attributes:
        url: Addresses of workers, http://host:port; default http.host and http.port.
        workers: Workers on this host, at consecutive ports.
        config: Settings file; default ember.toml where there is one.
        json: Print one JSON object.
    """

    url: tuple[str, ...] = ()
    workers: int = 1
    config: Path | None = None
    json: bool = False

    def urls(self, settings: Settings) -> list[str]:
        """Their addresses."""
        return urls_of(settings, self.url, self.workers)


ToWorkers = Annotated[WorkerOptions, Parameter(name="*")]
"""Of a command's options: those above, by their own names."""

THE_ONE_HERE = WorkerOptions()
"""One worker on this host, as the settings say."""


def urls_of(settings: Settings, given: Sequence[str], workers: int) -> list[str]:
    """Addresses of workers: those given, or this host's by the settings."""
    if given:
        for url in given:
            if not url.startswith(("http://", "https://")):
                raise UserError(
                    "A worker cannot be asked. Expected an address such as http://host:6066. "
                    f"Received: url={url!r}.",
                    exit_code=2,
                )
        return [url.rstrip("/") for url in given]
    host = settings.http.host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # not listened on
    host = f"[{host}]" if ":" in host else host
    return [f"http://{host}:{settings.http.port + index}" for index in range(workers)]


def ask(url: str, settings: Settings, *, method: str = "GET") -> dict[str, Any]:
    """A worker's answer; of one that has none, `detail` says why."""
    request = urllib.request.Request(url, method=method)  # noqa: S310  # http and https only
    token = settings.http.token.get_secret_value()
    if token:
        request.add_header("Authorization", bearer(token))
    try:
        with opener().open(request, timeout=_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        text = error.read().decode("utf-8", "replace").strip()
        if error.code == 401:
            return {"result": "refused", "detail": "It asks for another token: http.token."}
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            return {"result": "refused", "detail": f"{error.code}: {text or error.reason}"}
        return found
    except (OSError, HTTPException, ValueError) as error:
        return {"result": "unreachable", "detail": f"No answer: {error}"}
