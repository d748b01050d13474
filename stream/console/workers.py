"""Health of the workers, by their own `/info`, `/metrics` and `/shadow`."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from math import isnan
from typing import Any, Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from stream.http_client import bearer, opener
from stream.settings import Settings
from stream.tools.workers_http import worker_urls

from .answers import WorkerHealth

_SECONDS: Final = 2.0
_MOST_BYTES: Final = 4 << 20
_EVERY_SECONDS: Final = 5.0
_MOST_WORKERS: Final = 64


@dataclass
class _Counted:
    """Counters of a worker at the question before."""

    asked_at: float
    records: float
    commits: float
    committed_at: float | None


class Workers:
    """Workers at known addresses, asked every few seconds in a thread.

    Args:
        settings: Sections `console` and `http`.
        clock: Monotonic clock, seconds.

    Attributes:
        health: Health of each worker, as of the last question.
        model: Model of the first worker that has answered; None before one.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._urls = worker_urls(settings, settings.console.workers, 1)[:_MOST_WORKERS]
        self._token = settings.http.token.get_secret_value()
        self._clock = clock
        self._counted: dict[str, _Counted] = {}
        self.health: list[WorkerHealth] = []
        self.model: dict[str, Any] | None = None

    def run(self, stop: threading.Event) -> None:
        """Ask until an event is set.

        Args:
            stop: Event that ends it.
        """
        while not stop.is_set():
            self.ask()
            stop.wait(_EVERY_SECONDS)

    def ask(self) -> None:
        """Ask all workers once."""
        with ThreadPoolExecutor(min(8, len(self._urls))) as pool:
            pairs = list(pool.map(self._ask, self._urls))
        self.health = [worker for worker, _ in pairs]
        models = [model for _, model in pairs if model is not None]
        self.model = models[0] if models else self.model

    def _ask(self, url: str) -> tuple[WorkerHealth, dict[str, Any] | None]:
        worker = WorkerHealth(address=url)
        try:
            info = msgspec.json.decode(self._get(f"{url}/info"))
            text = self._get(f"{url}/metrics").decode("utf-8", "replace")
            totals, phase = _totals(text)
        except (OSError, HTTPException, ValueError) as error:
            worker.error = f"No answer: {getattr(error, 'reason', error)}"
            return worker, None
        if not isinstance(info, dict) or "partitions" not in info:
            worker.error = "It is no worker of Ember: its /info is another"
            return worker, None
        worker.phase = phase
        worker.lag = int(totals.get("ember_consumer_lag_records", 0))
        self._count(worker, totals)
        worker.partitions = len(info["partitions"])
        model = info.get("model")
        if isinstance(model, Mapping):
            worker.model = f"{model.get('name')} {model.get('version')}"
        worker.candidate = self._candidate(url)
        return worker, dict(model) if isinstance(model, Mapping) else None

    def _count(self, worker: WorkerHealth, totals: Mapping[str, float]) -> None:
        """Note the rate of records, and the time since the last checkpoint that was seen."""
        now = self._clock()
        records = totals.get("ember_records_total", 0.0)
        commits = totals.get("ember_commits_total", 0.0)
        former = self._counted.get(worker.address)
        committed_at = None
        if former is not None and records >= former.records and now > former.asked_at:
            worker.records_per_second = round(
                (records - former.records) / (now - former.asked_at), 1
            )
            committed_at = now if commits > former.commits else former.committed_at
        self._counted[worker.address] = _Counted(now, records, commits, committed_at)
        if committed_at is not None:
            worker.checkpoint_age_seconds = round(now - committed_at, 1)

    def _candidate(self, url: str) -> str | None:
        try:
            body = msgspec.json.decode(self._get(f"{url}/shadow"))
        except (OSError, HTTPException, ValueError):
            return None  # 404: there is none
        candidate = body.get("candidate") if isinstance(body, dict) else None
        if isinstance(candidate, Mapping):
            return f"{candidate.get('name')} {candidate.get('version')}"
        return None if candidate is None else str(candidate)

    def _get(self, url: str) -> bytes:
        headers = {"Authorization": bearer(self._token)} if self._token else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  # by the settings
        with opener().open(request, timeout=_SECONDS) as answer:
            body: bytes = answer.read(_MOST_BYTES)
            return body


def _totals(text: str) -> tuple[dict[str, float], str | None]:
    """Return the sum of the samples of each metric by name, and the phase.

    Raises:
        ValueError: If the text is in another format.
    """
    totals: dict[str, float] = {}
    phase = None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.startswith("ember_") or isnan(sample.value):
                continue
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
            if sample.name == "ember_phase" and sample.value:
                phase = sample.labels.get("phase")
    return totals, phase
