"""Requests of the bridges by HTTP: back-off after a failure, limits of rate, refusals for good."""

from __future__ import annotations

import base64
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, Literal, NamedTuple

import msgspec

from stream.errors import UserError
from stream.http_client import bearer, opener
from stream.observe import in_text
from stream.settings import CredentialsFields, HttpFields, TlsFields

Result = Literal["accepted", "refused", "limited", "failed"]
RESULTS: tuple[Result, ...] = ("accepted", "refused", "limited", "failed")
"""Outcome of a request; `refused` is never accepted, `limited` only comes too early."""

_BACK_OFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_MAX_RETRY_AFTER_SECONDS = 900.0
_NOT_ACCEPTABLE = frozenset({400, 413, 422})
_ANSWER_BYTES = 65_536
_LEAST_SECRET = 4
"""Characters of the shortest text that is hidden wherever it occurs."""
_MASK = "**********"
_TOKEN = re.compile(r"(?=.{16}|(?=.{6}).*\d)")
"""Form of a part of a path that is a secret."""


class NotAcceptedError(Exception):
    """The receiver will never accept this request; it may accept others."""


class UnavailableError(Exception):
    """The receiver was not reached, is not well, or refuses the login: try again later.

    Args:
        message: Cause, for people.
        retry_after: Seconds after which the receiver wants to be asked again; 0: it does not say.
        limited: The receiver only has had too many requests.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0, limited: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.limited = limited

    @property
    def result(self) -> Result:
        """Outcome of the request."""
        return "limited" if self.limited else "failed"


class Answer(NamedTuple):
    """Answer of a receiver that has accepted a request."""

    status: int
    body: bytes


class Endpoint:
    """One address that requests are posted to: JSON, unless the headers say otherwise.

    Args:
        url: The address.
        settings: Time limit, authorities and proxy.
        section: Name of the settings' section, for an error.
        headers: Headers besides the type of the content, or with another one.
        secrets: Secrets in the bodies, which an answer may repeat.

    Raises:
        UserError: If the authorities cannot be read.
    """

    def __init__(
        self,
        url: str,
        settings: HttpFields,
        section: str,
        headers: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self._url = url
        self._secrets = (*secrets, *_secrets_of(url), *_credentials(headers or {}))
        self._headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "ember-stream",
            **(headers or {}),
        }
        self._timeout = settings.timeout_seconds
        self._opener = opener(tls_context(settings, section), settings.proxy.get_secret_value())

    def post(self, body: Any) -> Answer:
        """Send values as JSON, and wait for the answer.

        Args:
            body: Plain values.

        Raises:
            NotAcceptedError: If the receiver refuses this body.
            UnavailableError: If it should be tried again later.
        """
        return self.send(msgspec.json.encode(body))

    def send(self, body: bytes) -> Answer:
        """Send a request, and wait for the answer.

        Args:
            body: The body, of the type that the headers say.

        Raises:
            NotAcceptedError: If the receiver refuses this body.
            UnavailableError: If it should be tried again later.
        """
        request = urllib.request.Request(  # noqa: S310  # http and https only, by the settings
            self._url, body, self._headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return Answer(answer.status, answer.read(_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(500).decode("utf-8", "replace").strip()
            # Receivers, and the addresses of redirects, repeat what they were asked.
            sentence = hide(f"{error.code} {error.reason}: {text}", self._secrets)
            if error.code in _NOT_ACCEPTABLE:
                raise NotAcceptedError(sentence) from None
            raise UnavailableError(
                sentence,
                retry_after=_retry_after(error.headers.get("Retry-After")),
                limited=error.code == 429,
            ) from None
        except (OSError, HTTPException) as error:
            sentence = hide(str(getattr(error, "reason", error)), self._secrets)
            raise UnavailableError(sentence) from None


class BackOff:
    """Time at which a receiver may be asked again, after failures.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next_attempt = float("-inf")
        self.failures = 0
        self.error = ""

    @property
    def is_over(self) -> bool:
        """True if the receiver may be asked now."""
        return self._clock() >= self._next_attempt

    def failed(self, error: UnavailableError) -> None:
        """Note a failure; each in a row is waited for longer, unless the receiver says how long."""
        step = _BACK_OFF_SECONDS[min(self.failures, len(_BACK_OFF_SECONDS) - 1)]
        wished = max(error.retry_after, _BACK_OFF_SECONDS[0]) if error.retry_after else 0.0
        self._next_attempt = self._clock() + (wished or step)
        self.failures += 1
        self.error = str(error)

    def accepted(self) -> bool:
        """Note an answer; return True if it is the first after failures."""
        recovered = self.failures > 0
        self.failures, self.error = 0, ""
        return recovered


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return a text without some secrets, nor what looks like one.

    Args:
        text: Text of another program, for the log and for people.
        secrets: Secrets that it may repeat; very short ones are left.
    """
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(secret, _MASK)
    return in_text(text)


def _credentials(headers: Mapping[str, str]) -> list[str]:
    return [value.rpartition(" ")[2] for name, value in headers.items() if name == "Authorization"]


def _secrets_of(url: str) -> list[str]:
    """Return the parts of an address that let somebody use it: its path, query and login."""
    parts = urllib.parse.urlsplit(url)
    values = re.split("[=&;]", parts.query)[1::2]
    segments = [s for s in parts.path.split("/") if _TOKEN.match(s)]  # no plain words
    path = parts.path if segments else ""
    quoted = [*values, *segments, path, parts.query, parts.username or "", parts.password or ""]
    return [*quoted, *map(urllib.parse.unquote_plus, quoted)]


def authorization(settings: CredentialsFields) -> dict[str, str]:
    """Return the header of the credentials; empty without any."""
    token = settings.token.get_secret_value()
    if token:
        return {"Authorization": bearer(token)}
    if settings.username:
        pair = f"{settings.username}:{settings.password.get_secret_value()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def tls_context(settings: TlsFields, section: str) -> ssl.SSLContext:
    """Return the context with the authorities of the settings.

    Raises:
        UserError: If they cannot be read.
    """
    path = settings.ca_location
    try:
        return ssl.create_default_context(cafile=None if path is None else str(path))
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            f"The authorities cannot be read. Expected a PEM file in {section}.ca_location. "
            f"Received: {str(path)!r} ({error}).",
            exit_code=2,
        ) from None


def _retry_after(header: str | None) -> float:
    """Return the seconds of `Retry-After`: a number, or a date."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return 0.0
    # A hostile or broken answer must not silence a bridge for days; NaN compares as 0.
    return min(max(0.0, seconds), _MAX_RETRY_AFTER_SECONDS)
