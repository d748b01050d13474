"""Client of Alertmanager's API v2 that sends alerts to all members of a cluster."""

from __future__ import annotations

import base64
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any, Literal

import msgspec
import structlog

from stream.errors import UserError
from stream.http_client import bearer, opener
from stream.settings import AlertmanagerSection

log = structlog.stdlib.get_logger("ember")

Result = Literal["accepted", "refused", "failed"]
RESULTS: tuple[Result, ...] = ("accepted", "refused", "failed")
"""Outcome of a request; `refused` counts alerts that Alertmanager will never accept."""

_TIMEOUT_SECONDS = 10.0
_BACK_OFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_NOT_ACCEPTABLE = frozenset({400, 413, 422})


class NotAcceptedError(Exception):
    """Alertmanager refuses one of these alerts; it may accept the others in a smaller request.

    Sending the same alerts again would not help.
    """


class UnavailableError(Exception):
    """Alertmanager was not reached, is not well, or refuses the login: try again later."""


class Alertmanager:
    """One Alertmanager.

    Args:
        url: Address, without `/api/v2`.
        settings: Credentials and certificate authorities.

    Raises:
        UserError: If the authorities cannot be read.
    """

    def __init__(self, url: str, settings: AlertmanagerSection) -> None:
        self.url = url
        self._headers = {"Content-Type": "application/json", **_authorization(settings)}
        self._opener = opener(_context(settings))

    def post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Send alerts in one request, and wait for the answer.

        Args:
            alerts: Alerts with the fields of the API.

        Raises:
            NotAcceptedError: If one is refused; some of the others may have been accepted.
            UnavailableError: If none was accepted.
        """
        request = urllib.request.Request(  # noqa: S310  # http and https only, by the settings
            f"{self.url}/api/v2/alerts", msgspec.json.encode(alerts), self._headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            with error:
                body = error.read(500).decode("utf-8", "replace").strip()
            kind = NotAcceptedError if error.code in _NOT_ACCEPTABLE else UnavailableError
            raise kind(f"{error.code} {error.reason}: {body}") from None
        except (OSError, HTTPException) as error:
            raise UnavailableError(str(getattr(error, "reason", error))) from None


class Cluster:
    """All members of an Alertmanager cluster: each is sent every alert, one that accepts is enough.

    The members share their notifications but not their alerts, so a client must send to all.

    Args:
        settings: Addresses, credentials and certificate authorities.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every request.

    Raises:
        UserError: If the authorities cannot be read.
    """

    def __init__(
        self,
        settings: AlertmanagerSection,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
    ) -> None:
        self._members = [_Member(Alertmanager(url, settings)) for url in settings.urls]
        self._clock = clock
        self._on_result = on_result

    def trouble(self) -> str:
        """Return the error of the first member if all have failed, else an empty string."""
        if all(member.failures for member in self._members):
            return self._members[0].error
        return ""

    def deliver(self, alerts: Sequence[Mapping[str, Any]]) -> bool:
        """Send alerts to every member that is not in back-off after a failure.

        Args:
            alerts: Alerts with the fields of the API.

        Returns:
            True if one member accepted them, apart from alerts it refuses for good.
        """
        accepted = False
        for member in self._members:
            if self._clock() < member.next_attempt:
                continue
            try:
                self._post(member.client, alerts)
            except UnavailableError as error:
                member.failed(self._clock(), f"{member.client.url} takes no alerts: {error}")
                self._on_result("failed")
                log.warning("Alertmanager takes no alerts", url=member.client.url, error=str(error))
            else:
                if member.failures:
                    log.info("Alertmanager takes alerts again", url=member.client.url)
                member.failures = 0
                accepted = True
        return accepted

    def _post(self, client: Alertmanager, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Post alerts; halve a refused request until the refused alert stands alone."""
        try:
            client.post(alerts)
        except NotAcceptedError as error:
            if len(alerts) == 1:
                self._on_result("refused")
                labels = alerts[0]["labels"]
                log.error("Alertmanager refuses an alert", labels=labels, error=str(error))
                return
            half = len(alerts) // 2
            self._post(client, alerts[:half])
            self._post(client, alerts[half:])
        else:
            self._on_result("accepted")


class _Member:
    """A member of the cluster, with its back-off after failures."""

    def __init__(self, client: Alertmanager) -> None:
        self.client = client
        self.failures = 0
        self.next_attempt = float("-inf")
        self.error = ""

    def failed(self, now: float, error: str) -> None:
        self.next_attempt = now + _BACK_OFF_SECONDS[min(self.failures, len(_BACK_OFF_SECONDS) - 1)]
        self.failures += 1
        self.error = error


def _authorization(settings: AlertmanagerSection) -> dict[str, str]:
    token = settings.token.get_secret_value()
    if token:
        return {"Authorization": bearer(token)}
    if settings.username:
        pair = f"{settings.username}:{settings.password.get_secret_value()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _context(settings: AlertmanagerSection) -> ssl.SSLContext:
    path = settings.ca_location
    try:
        return ssl.create_default_context(cafile=None if path is None else str(path))
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            "The authorities cannot be read. Expected a PEM file in alertmanager.ca_location. "
            f"Received: {str(path)!r} ({error}).",
            exit_code=2,
        ) from None
