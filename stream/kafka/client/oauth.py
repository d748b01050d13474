"""Tokens of SASL/OAUTHBEARER: from a token endpoint, or from a file that is kept fresh.

A token is used until four fifths of its life are over.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import json
import logging
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from functools import cache
from http.client import HTTPException
from typing import Any, Final

from aiokafka.abc import AbstractTokenProvider

from stream.errors import UserError
from stream.http_client import opener
from stream.settings import KafkaSection

_ANSWER_SECONDS: Final = 10.0
_UNKNOWN_LIFE_SECONDS: Final = 60.0  # of a token that does not say
_USED_SHARE: Final = 0.8
_TRANSIENT: Final = frozenset({408, 425, 429})
"""Codes below 500 that are about the moment, not about this client: ask again."""

log = logging.getLogger(__name__)


class TokenSource:
    """Source of valid tokens; may be called from any thread.

    Args:
        kafka: Settings `sasl_oauth_*` of the connection.
        clock: Seconds since the epoch.
    """

    def __init__(self, kafka: KafkaSection, clock: Callable[[], float] = time.time) -> None:
        self._kafka = kafka
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._expires = self._renew = 0.0
        if not kafka.sasl_oauth_token_file:
            _warn_of_plain(kafka.sasl_oauth_token_url)

    def token(self) -> tuple[str, float]:
        """Return the token, and the time at which it expires, in seconds since the epoch.

        Raises:
            UserError: If the endpoint refuses, or there is no token.
            OSError: If the endpoint cannot be reached, or the file not be read: try again.
        """
        with self._lock:
            now = self._clock()
            if now >= self._renew:
                ask = self._from_file if self._kafka.sasl_oauth_token_file else self._from_endpoint
                self._token, life = ask(now)
                self._expires, self._renew = now + life, now + _USED_SHARE * life
            return self._token, self._expires

    def _from_file(self, now: float) -> tuple[str, float]:
        path = self._kafka.sasl_oauth_token_file
        assert path is not None
        token = path.read_text(encoding="utf-8").strip()
        if not token:
            raise UserError(
                f"There is no token. Expected one in the file kafka.sasl_oauth_token_file. "
                f"Received: an empty file {str(path)!r}."
            )
        # The file may be renewed at any time: never rely on its token for long.
        return token, min(_life(token, now), _UNKNOWN_LIFE_SECONDS)

    def _from_endpoint(self, _now: float) -> tuple[str, float]:
        kafka = self._kafka
        form = {"grant_type": "client_credentials"}
        if kafka.sasl_oauth_scope:
            form["scope"] = kafka.sasl_oauth_scope
        secret = kafka.sasl_oauth_client_secret.get_secret_value()
        user, word = map(urllib.parse.quote, (kafka.sasl_oauth_client_id, secret))
        request = urllib.request.Request(  # noqa: S310  # the settings allow http(s) only
            kafka.sasl_oauth_token_url,
            data=urllib.parse.urlencode(form).encode(),
            headers={
                "Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode(),
                "Accept": "application/json",
            },
        )
        try:
            with opener().open(request, timeout=_ANSWER_SECONDS) as answer:
                body: dict[str, Any] = json.loads(answer.read(1_000_000))
            return str(body["access_token"]), float(body.get("expires_in", _UNKNOWN_LIFE_SECONDS))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500 or error.code in _TRANSIENT:
                raise OSError(f"{kafka.sasl_oauth_token_url}: HTTP {error.code}") from None
            raise UserError(
                "The token endpoint refused this client. Expected an access token for "
                "kafka.sasl_oauth_client_id. Received: "
                f"HTTP {error.code} {error.reason} from {kafka.sasl_oauth_token_url}. "
                "Check kafka.sasl_oauth_client_id, its secret and kafka.sasl_oauth_scope."
            ) from None
        except HTTPException as error:  # no HTTP, or cut off
            raise OSError(f"{kafka.sasl_oauth_token_url}: {error!r}") from None
        except (ValueError, KeyError, TypeError):
            raise UserError(
                "The token endpoint's answer cannot be read. Expected JSON with `access_token` "
                f"and `expires_in`. Received it from: {kafka.sasl_oauth_token_url}."
            ) from None


@cache  # a process makes several clients
def _warn_of_plain(url: str) -> None:
    """Warn that a client's secret goes over the network in clear, unless it stays on this host."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "http" and not _loopback(parts.hostname or ""):
        log.warning(
            "The client's secret goes to %s without TLS, for everybody on the way to read. "
            "Set kafka.sasl_oauth_token_url to an https address.",
            parts.hostname,
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _life(token: str, now: float) -> float:
    """Return the seconds until a token expires; only a JSON Web Token says it."""
    try:
        middle = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
        return max(float(claims["exp"]) - now, 1.0)
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return _UNKNOWN_LIFE_SECONDS


class AsyncTokens(AbstractTokenProvider):
    """Token provider of aiokafka.

    Args:
        source: Source of the tokens.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    async def token(self) -> str:
        """Return a valid token."""
        token, _ = await asyncio.to_thread(self._source.token)
        return token
