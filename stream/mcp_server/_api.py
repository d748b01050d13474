"""Requests to the API of a console, and its errors as sentences."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import Any, Final

from stream.errors import UserError
from stream.http_client import bearer, opener

_TIMEOUT_SECONDS: Final = 150.0
"""Longer than the replay of a what-if question, `console.what_if_seconds`."""
_MOST_BYTES: Final = 32 << 20


class ConsoleError(UserError):
    """The console does not answer, or refuses; the message says why."""


class ConsoleApi:
    """API of one console.

    Args:
        url: Address of the console.
        token: Bearer token of a person who may write; empty: only reading.

    Raises:
        ConsoleError: If the address is none of HTTP.
    """

    def __init__(self, url: str, token: str = "") -> None:
        if not url.startswith(("http://", "https://")):
            raise ConsoleError(
                "The console cannot be asked. Expected an address such as http://127.0.0.1:6058. "
                f"Received: url={url!r}.",
                exit_code=2,
            )
        self.url = url.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": "ember-stream"}
        if token:
            self._headers["Authorization"] = bearer(token)
        self._opener = opener()

    def get(self, path: str, **query: Any) -> Any:
        """Return an answer.

        Args:
            path: Path of the endpoint, quoted.
            **query: Parameters; None and empty ones are left out.

        Raises:
            ConsoleError: If the console does not answer, or refuses.
        """
        parameters = {name: value for name, value in query.items() if value not in (None, "")}
        suffix = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        return self._ask("GET", path + suffix, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send a body and return the answer.

        Args:
            path: Path of the endpoint.
            body: Plain values.

        Raises:
            ConsoleError: If the console does not answer, or refuses.
        """
        return self._ask("POST", path, body)

    def delete(self, path: str) -> Any:
        """Remove an object and return the answer.

        Args:
            path: Path of the object, quoted.

        Raises:
            ConsoleError: If the console does not answer, or refuses.
        """
        return self._ask("DELETE", path, None)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        headers = dict(self._headers)
        if method != "GET":
            # A restart of the console makes a new one, so that it is not kept.
            headers["X-Ember-CSRF"] = str(self._ask("GET", "/api/status", None)["csrf"])
            headers["Content-Type"] = "application/json"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  # http and https only
            f"{self.url}{path}", content, headers, method=method
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                return json.loads(answer.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(4_096).decode("utf-8", "replace")
            raise ConsoleError(_sentence(text) or f"{error.code} {error.reason}.") from None
        except (OSError, HTTPException) as error:
            cause = getattr(error, "reason", error)
            raise ConsoleError(
                f"The console does not answer. Expected `ember console` at {self.url}. Received: "
                f"{cause}. Start it, or name another address with --url."
            ) from None
        except ValueError:
            raise ConsoleError(
                f"This is no console. Expected `ember console` at {self.url}. Received: an answer "
                "that is no JSON. Name another address with --url."
            ) from None


def _sentence(text: str) -> str:
    """Return the sentence of an error's answer; empty where there is none."""
    try:
        answer = json.loads(text)
    except ValueError:
        return ""
    return str(answer.get("error", "")) if isinstance(answer, dict) else ""
