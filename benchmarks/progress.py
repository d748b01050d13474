"""Records done over time: how a contestant reports them, and the rate in the middle of a run."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

_SAMPLE_SECONDS: Final = 0.05


class Sample(NamedTuple):
    """Records done at a moment of the monotonic clock, and the processor seconds spent."""

    seconds: float
    records: int
    cpu_seconds: float = 0.0


class Rate(NamedTuple):
    """Records per second between two shares of a run, how long that took, and its CPU.

    The processor's time is the steadier figure where others use the machine too.
    """

    records_per_second: float
    seconds: float
    cpu_us_per_record: float


def rate_between(
    samples: Sequence[Sample], total: int, first: float = 0.1, last: float = 0.9
) -> Rate | None:
    """Rate between two shares of a run, so that neither start nor end counts.

    Args:
        samples: Samples in order of time.
        total: Records of the whole run.
        first: Share of them from which the time runs.
        last: Share at which it ends.

    Returns:
        The rate; None where the samples do not reach, or no time has passed.
    """
    begin, end = reached(samples, first * total), reached(samples, last * total)
    if begin is None or end is None or end.seconds <= begin.seconds:
        return None
    records, seconds = (last - first) * total, end.seconds - begin.seconds
    cpu_us = 1e6 * (end.cpu_seconds - begin.cpu_seconds) / records
    return Rate(records / seconds, seconds, cpu_us)


def reached(samples: Sequence[Sample], records: float) -> Sample | None:
    """The sample at which a number of records was reached, between two by a straight line."""
    previous: Sample | None = None
    for sample in samples:
        if sample.records >= records:
            if previous is None or sample.records == previous.records:
                return sample
            share = (records - previous.records) / (sample.records - previous.records)
            return Sample(
                previous.seconds + share * (sample.seconds - previous.seconds),
                round(records),
                previous.cpu_seconds + share * (sample.cpu_seconds - previous.cpu_seconds),
            )
        previous = sample
    return None


class Reporter:
    """Prints a counter of this process as JSON lines, from a thread of its own.

    Args:
        count: Records done so far.
        cpu: Seconds of CPU so far, where it is not this process's own.
    """

    def __init__(
        self, count: Callable[[], int], cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._count, self._cpu = count, cpu
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._report, daemon=True)

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _report(self) -> None:
        while True:
            finished = self._over.wait(_SAMPLE_SECONDS)
            print(json.dumps([time.monotonic(), self._count(), self._cpu()]))
            sys.stdout.flush()
            if finished:
                return


def read_samples(text: str) -> list[Sample]:
    """Read the lines of a `Reporter`; other lines, and a last one cut short, are skipped."""
    whole_lines = (
        line for line in text.splitlines() if line.startswith("[") and line.endswith("]")
    )
    return [Sample(*json.loads(line)) for line in whole_lines]
