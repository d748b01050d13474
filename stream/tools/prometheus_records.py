"""Series of Prometheus and of what answers like it, as records of the codec `prometheus`."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final

import msgspec

from stream.errors import UserError
from stream.http_client import opener
from stream.records import rfc3339
from stream.settings import Settings

from .log_record import LogRecord
from .topic_records import Period

_HOUR_MS: Final = 3_600_000
_DEFAULT_MS: Final = 14 * 24 * _HOUR_MS
_MOST_POINTS: Final = 10_000
"""Points of a series in one answer; Prometheus refuses more than 11,000."""
_ANSWER_SECONDS: Final = 120.0
_PAUSES: Final = (1.0, 4.0, 15.0)
"""Seconds before a request is sent again."""
_LATER: Final = frozenset((429, 500, 502, 504))
"""Answers after which the same request may succeed."""
_LESS: Final = frozenset((413, 422, 503))
"""Answers after which a smaller request may succeed: too many samples, or a time-out."""


PROMETHEUS: Final = "prometheus"
"""Scheme of the addresses, and codec of the records."""


def prometheus_settings(settings: Settings) -> Settings:
    """Return the settings of a stream of these series: as from the adapter, and re-keyed."""
    section = {
        "codec": PROMETHEUS,
        "key": settings.input.key or "labels.instance",
        "key_from": "record",
        "rekey": True,
    }
    source = settings.input.model_copy(update=section)
    return settings.model_copy(update={"input": source})


@dataclass(frozen=True)
class SeriesQuery:
    """Series to read, and how they are asked for.

    Attributes:
        query: Selector, such as `{job="node"}`.
        step_seconds: Time between two values of a series; 0: the interval of the window.
        headers: Further HTTP headers, by name.
    """

    query: str = ""
    step_seconds: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    result: list[_Series] = []


class _Answer(msgspec.Struct):
    data: _Data


class _TooMuchError(Exception):
    """The server refuses to answer so much at once."""


class PrometheusRecords:
    """Values of series at every step, as prometheus-kafka-adapter writes them to a topic.

    An answer holds an hour or less, so that neither side needs much memory.

    Args:
        url: Address before `/api/v1`; a user and a password may stand in it.
        series: The series.
        interval_seconds: Time between two values, where the query has none.
        period: Time of the values. Default: the last 14 days.
        sleep: Function that waits for some seconds.

    Raises:
        UserError: If the address is none.
    """

    total = 0

    def __init__(
        self,
        url: str,
        series: SeriesQuery,
        interval_seconds: float,
        period: Period,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(
                "The address of the series is not understood. Expected prometheus:URL such as "
                f"prometheus:http://prometheus:9090. Received: prometheus:{url}.",
                exit_code=2,
            )
        if not series.query.strip():
            raise UserError(
                "It is not said which series are meant. Expected --query with a selector such as "
                "'{job=\"node\"}'. Received: none.",
                exit_code=2,
            )
        host = parts.netloc.rpartition("@")[2]
        self.name = f"{parts.scheme}://{host}{parts.path}".rstrip("/")
        self._headers = dict(series.headers)
        if parts.username is not None:
            login = f"{parts.username}:{parts.password or ''}"
            secret = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
            self._headers["Authorization"] = f"Basic {secret}"
        self._query = series.query
        self._step_ms = max(1, round((series.step_seconds or interval_seconds) * 1000))
        now_ms = time.time_ns() // 1_000_000
        self._end_ms = now_ms if period.until_ms is None else period.until_ms
        self._begin_ms = self._end_ms - _DEFAULT_MS
        if period.since_ms is not None:
            self._begin_ms = period.since_ms
        self._sleep = sleep
        self._offset = 0

    def __iter__(self) -> Iterator[LogRecord]:
        step_ms = self._step_ms
        points = min(_MOST_POINTS, max(1, _HOUR_MS // step_ms))
        # Multiples of the step: the same times, whatever the beginning is.
        begin_ms = -(-self._begin_ms // step_ms) * step_ms
        while begin_ms < self._end_ms:
            last_ms = min(
                begin_ms + (points - 1) * step_ms, (self._end_ms - 1) // step_ms * step_ms
            )
            try:
                series = self._range(begin_ms, last_ms)
            except _TooMuchError as error:
                if points == 1:
                    raise UserError(f"{self.name} refuses to answer: {error}.") from None
                points = max(1, points // 4)
                continue
            yield from self._records(series)
            begin_ms = last_ms + step_ms

    def _records(self, found: Sequence[_Series]) -> Iterator[LogRecord]:
        """Yield the values of an answer in the order of their times."""
        heads = []
        for series in found:
            name = series.metric.get("__name__", "")
            if not name:
                raise UserError(
                    "The series have no names, as results of functions have none. Expected --query "
                    f"with a selector such as '{{job=\"node\"}}'. Received: {self._query}."
                )
            heads.append(json.dumps({"name": name, "labels": series.metric})[:-1])
        values = [
            (round(seconds * 1000), number, text)
            for number, series in enumerate(found)
            for seconds, text in series.values
        ]
        for time_ms, number, text in sorted(values):
            tail = f', "timestamp": "{rfc3339(time_ms * 1000)}", "value": "{text}"}}'
            yield LogRecord(None, (heads[number] + tail).encode(), time_ms, self._offset, 0)
            self._offset += 1

    def _range(self, begin_ms: int, last_ms: int) -> list[_Series]:
        """Ask for the values from one time to another, both included."""
        form = {
            "query": self._query,
            "start": f"{begin_ms / 1000:.3f}",
            "end": f"{last_ms / 1000:.3f}",
            "step": f"{self._step_ms / 1000:g}",
        }
        request = urllib.request.Request(  # noqa: S310  # http(s) only
            f"{self.name}/api/v1/query_range",
            urllib.parse.urlencode(form).encode(),
            self._headers,
        )
        body = self._answer(request)
        try:
            return msgspec.json.decode(body, type=_Answer).data.result
        except (msgspec.DecodeError, UnicodeError) as error:
            raise UserError(
                f"{self.name} does not answer as Prometheus does. Expected JSON of "
                f"/api/v1/query_range. Received: {body[:60]!r} ({error})."
            ) from None

    def _answer(self, request: urllib.request.Request) -> bytes:
        pauses = iter(_PAUSES)
        while True:
            try:
                with opener().open(request, timeout=_ANSWER_SECONDS) as answer:
                    body: bytes = answer.read()
                    return body
            except urllib.error.HTTPError as error:
                cause = _cause(error)
                if error.code in _LESS:
                    raise _TooMuchError(cause) from None
                if error.code not in _LATER:
                    raise UserError(
                        f"{self.name} refuses the query. Expected series for --query "
                        f"{self._query}. Received: {cause}."
                    ) from None
            except (OSError, HTTPException) as error:
                cause = str(getattr(error, "reason", error) or type(error).__name__)
            pause = next(pauses, None)
            if pause is None:
                raise UserError(
                    f"{self.name} does not answer. Expected Prometheus, or what answers like it. "
                    f"Received: {cause}. Look at the address, and run the command again."
                )
            self._sleep(pause)


def _cause(error: urllib.error.HTTPError) -> str:
    """Return the sentence of an error of Prometheus, else the HTTP status."""
    try:
        content: Any = json.loads(error.read())
        return f"HTTP {error.code}, {content['error']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"HTTP {error.code} {error.reason}"
