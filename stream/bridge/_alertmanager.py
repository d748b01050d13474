"""Alertmanager's API v2, as far as a client needs it that sends alerts."""

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
"""What becomes of a request; `refused` is an alert that Alertmanager will never have."""

_TIMEOUT_SECONDS = 10.0
_BACK_OFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_NOT_ACCEPTABLE = frozenset({400, 413, 422})


class NotAcceptedError(Exception):
    """Alertmanager looked at these alerts and does not want one of them: as a part of fewer it may.

    Sending the same again would not help.
    """


class UnavailableError(Exception):
    """Alertmanager was not reached, is not well, or does not know who asks: later, perhaps."""


class Alertmanager:
    """One Alertmanager.

    Args:
        url: Its address, without `/api/v2`.
        settings: Credentials and whom to trust.

    Raises:
        UserError: If the authorities cannot be read.
    """

    def __init__(self, url: str, settings: AlertmanagerSection) -> None:
        self.url = url
        self._headers = {"Content-Type": "application/json", **_authorization(settings)}
        self._opener = opener(_context(settings))

    def post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Hand alerts over; done when this returns.

        Args:
            alerts: As the API names their fields.

        Raises:
            NotAcceptedError: If it does not want one of them; the others may be there or not.
            UnavailableError: If none was taken.
        """
        request = urllib.request.Request(  # noqa: S310  # http and https only, by the settings
            f"{self.url}/api/v2/alerts", msgspec.json.encode(alerts), self._headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(500).decode("utf-8", "replace").strip()
            why = f"{error.code} {error.reason}: {said}"
            kind = NotAcceptedError if error.code in _NOT_ACCEPTABLE else UnavailableError
            raise kind(why) from None
        except (OSError, HTTPException) as error:
            raise UnavailableError(str(getattr(error, "reason", error))) from None


class Cluster:
    """All members of a cluster: each is sent everything, one that takes it is enough.

    They tell each other of notifications, not of alerts, so that nobody may choose one of them.

    Args:
        settings: Addresses, credentials and whom to trust.
        clock: Monotonic seconds.
        told: Told of what became of every request.

    Raises:
        UserError: If the authorities cannot be read.
    """

    def __init__(
        self,
        settings: AlertmanagerSection,
        clock: Callable[[], float],
        told: Callable[[Result], None],
    ) -> None:
        self._members = [_Member(Alertmanager(url, settings)) for url in settings.urls]
        self._clock = clock
        self._told = told

    def trouble(self) -> str:
        """Why nothing can be delivered now; empty when one takes alerts, as far as is known."""
        if all(member.failures for member in self._members):
            return self._members[0].why
        return ""

    def deliver(self, alerts: Sequence[Mapping[str, Any]]) -> bool:
        """Send alerts to every member that is not being left alone after a failure.

        Returns:
            Whether one of them took the alerts, apart from those it will never have.
        """
        taken = False
        for member in self._members:
            if self._clock() < member.due:
                continue
            try:
                self._give(member.client, alerts)
            except UnavailableError as error:
                member.failed(self._clock(), f"{member.client.url} takes no alerts: {error}")
                self._told("failed")
                log.warning("Alertmanager takes no alerts", url=member.client.url, why=str(error))
            else:
                if member.failures:
                    log.info("Alertmanager takes alerts again", url=member.client.url)
                member.failures = 0
                taken = True
        return taken

    def _give(self, client: Alertmanager, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Where one of several is not acceptable, find out which."""
        try:
            client.post(alerts)
        except NotAcceptedError as error:
            if len(alerts) == 1:
                self._told("refused")
                labels = alerts[0]["labels"]
                log.error("Alertmanager refuses an alert", labels=labels, why=str(error))
                return
            half = len(alerts) // 2
            self._give(client, alerts[:half])
            self._give(client, alerts[half:])
        else:
            self._told("accepted")


class _Member:
    """An Alertmanager, and when it is asked again."""

    def __init__(self, client: Alertmanager) -> None:
        self.client = client
        self.failures = 0
        self.due = float("-inf")
        self.why = ""

    def failed(self, now: float, why: str) -> None:
        self.due = now + _BACK_OFF_SECONDS[min(self.failures, len(_BACK_OFF_SECONDS) - 1)]
        self.failures += 1
        self.why = why


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
