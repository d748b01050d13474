"""Progress of a peer: records read, and the end of its job."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.peers import Job


class PeerProgress:
    """Number of records read, and the end of the job.

    Args:
        job: Task with the number of records, or the time.
    """

    __slots__ = ("_records", "_seconds", "_until", "count")

    def __init__(self, job: Job) -> None:
        self.count = 0
        self._records, self._seconds = job.records, job.seconds
        self._until = float("inf")

    def is_over(self) -> bool:
        """True when all records are read, or the time since the first is up."""
        if self.count and self._until == float("inf"):
            self._until = time.monotonic() + self._seconds
        return self.count >= self._records or time.monotonic() > self._until

    def print_counts(self, counts: Mapping[Any, int]) -> None:
        """Print the peer's count, to be compared with the number of records in the topic."""
        counted = {"keys": len(counts), "records": sum(counts.values()), "read": self.count}
        print(json.dumps({"counted": counted}), flush=True)
