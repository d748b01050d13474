"""Requests to the store: in order, at a bounded rate, again after a failure, and halved if refused.

A store may refuse a whole request for one sample. So a refused one is halved until the refused rows
stand alone, within a bound of requests.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import structlog

from stream.bridge import (
    BackOff,
    Endpoint,
    NotAcceptedError,
    Result,
    UnavailableError,
    authorization,
)
from stream.settings import RemoteWriteSection

from ._protocol import HEADERS, LabelsOf, encode
from ._refusals import advice
from ._rows import KeyRows

log = structlog.stdlib.get_logger("ember")

Outcome = Literal["accepted", "refused", "left_out"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("accepted", "refused", "left_out")
"""Outcome of a sample; `left_out` is one of a key that finds no room among the series."""

_TURN_SECONDS = 20.0
"""Time after which a turn of requests ends, so that the group is kept."""
_MOST_HALVES = 64
"""Requests that one refused request may become."""


def endpoint_of(settings: RemoteWriteSection) -> Endpoint:
    """Return the address of the store, with the login.

    Raises:
        UserError: If the authorities cannot be read.
    """
    headers = {**HEADERS, **authorization(settings)}
    if settings.tenant:
        headers["X-Scope-OrgID"] = settings.tenant
    return Endpoint(settings.url, settings, "remote_write", headers)


class Sender:
    """Queue of rows, and the requests that empty it.

    Args:
        settings: Section of the settings.
        labels_of: Function that returns the labels of a key beside its own.
        clock: Monotonic clock, in seconds.
        on_result: Called with the outcome of every request.
        on_samples: Called with the outcome of samples, and their number.
        sleep: Waits for some seconds.

    Raises:
        UserError: If the authorities cannot be read.
    """

    def __init__(
        self,
        settings: RemoteWriteSection,
        labels_of: LabelsOf,
        clock: Callable[[], float],
        on_result: Callable[[Result], None],
        on_samples: Callable[[Outcome, int], None],
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._settings = settings
        self._labels_of = labels_of
        self._clock = clock
        self._on_result, self._on_samples = on_result, on_samples
        self._sleep = sleep
        self._endpoint = endpoint_of(settings)
        self._back_off = BackOff(clock)
        self._next_request = float("-inf")
        self._queue: deque[KeyRows] = deque()
        self.waiting = 0
        """Samples in the queue."""

    @property
    def trouble(self) -> str:
        """Error of the last request if it failed, else an empty string."""
        return self._back_off.error

    def put(self, rows: Iterable[KeyRows]) -> None:
        """Put rows into the queue."""
        for keyed in rows:
            self._queue.append(keyed)
            self.waiting += keyed.samples

    def send(self) -> bool:
        """Send the queue, until the turn is over or a request fails.

        Returns:
            True if nothing waits any more.
        """
        turn_ends = self._clock() + _TURN_SECONDS
        while self._queue and self._back_off.is_over and self._clock() < turn_ends:
            self._wait_for_rate()
            request = self._next()
            try:
                self._deliver(request)
            except UnavailableError as error:
                self._back_off.failed(error)
                self._back_off.error = advice(str(error), self._settings) or str(error)
                self._on_result(error.result)
                log.warning("store takes no samples", error=self._back_off.error)
        return not self._queue

    def _wait_for_rate(self) -> None:
        delay = self._next_request - self._clock()
        if delay > 0:
            self._sleep(delay)

    def _next(self) -> list[KeyRows]:
        """Take the rows of the next request out of the queue."""
        request: list[KeyRows] = []
        room = self._settings.samples_per_request
        while self._queue and room > 0:
            keyed = self._queue.popleft()
            row_count = max(1, room // max(1, keyed.table.shape[1]))
            if len(keyed) > row_count:
                self._queue.appendleft(keyed.part(row_count))
                keyed = keyed.part(0, row_count)
            request.append(keyed)
            room -= keyed.table.size
        return request

    def _deliver(self, request: Sequence[KeyRows]) -> None:
        """Send a request; its unsent rows go back to the head of the queue.

        Raises:
            UnavailableError: If it should be tried again later.
        """
        parts, requests = [request], 0
        while parts:
            part = parts.pop()
            samples = sum(keyed.samples for keyed in part)
            requests += 1
            try:
                self._endpoint.send(encode(part, self._labels_of))
            except NotAcceptedError as error:
                self._refused(part, samples, str(error), parts, may_halve=requests < _MOST_HALVES)
            except UnavailableError:
                for unsent in (*parts, part):  # the first one of them last
                    self._queue.extendleft(reversed(unsent))
                raise
            else:
                self._done(samples, "accepted")
                if self._back_off.accepted():
                    log.info("store takes samples again")

    def _refused(
        self,
        part: Sequence[KeyRows],
        samples: int,
        error: str,
        parts: list[Sequence[KeyRows]],
        *,
        may_halve: bool,
    ) -> None:
        """Halve a refused request, or give its samples up."""
        halves = _halves(part) if may_halve else []
        if halves:
            parts += reversed(halves)  # the older one first
            return
        self._back_off.accepted()  # it is well: the samples are at fault
        self._on_result("refused")
        self._done(samples, "refused")
        log.error(
            "samples refused",
            samples=samples,
            keys=[keyed.key.decode("utf-8", "replace") for keyed in part[:3]],
            error=advice(error, self._settings) or error,
        )

    def _done(self, samples: int, outcome: Outcome) -> None:
        if outcome == "accepted":
            self._on_result("accepted")
        self._on_samples(outcome, samples)
        self.waiting -= samples
        pace = samples / self._settings.samples_per_second
        self._next_request = max(self._next_request, self._clock()) + pace


def _halves(part: Sequence[KeyRows]) -> list[Sequence[KeyRows]]:
    """Return the halves of a request, by key or by time; none of a single row."""
    if len(part) > 1:
        middle = len(part) // 2
        return [part[:middle], part[middle:]]
    (keyed,) = part
    if len(keyed) > 1:
        middle = len(keyed) // 2
        return [[keyed.part(0, middle)], [keyed.part(middle)]]
    return []
