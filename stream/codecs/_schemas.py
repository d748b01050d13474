"""Cache of schemas by id, in memory and on disk, in front of the registry."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import structlog

from ._registry import RegistryUnavailable

_LARGEST_ID = 2**31 - 1
_MAX_REFUSED = 10_000
_AGAIN_SECONDS = 10.0
"""Pause before the registry is asked again.

For an id that the registry does not have: the registry may lag behind a producer. For all ids, when
the registry did not answer and no message waits.
"""
_BURST = 20.0
_PER_SECOND = 1.0
"""Rate of requests for ids that the registry does not have: garbage must not flood it."""
_MAX_LOOK_UP_SECONDS = 5.0
"""Time after which a look-up stops and the remaining ids wait; one request may take as long."""

_log = structlog.stdlib.get_logger("ember")


class Schemas:
    """Cache of schemas. Only `look_up` and `retry` block.

    An id is known, refused or awaited. It is refused when the registry has no such schema, or when
    too many unknown ids came lately. It is awaited while the registry does not answer.

    Args:
        fetch: Schema of an id as JSON, None when there is none; may raise `RegistryUnavailable`.
        parse: Parser of that JSON; may raise any exception when it is not a schema.
        folder: Folder of fetched schemas, so that a start does not depend on the registry. None
            keeps none.
        clock: Monotonic clock, in seconds.
        kind: Kind of the schemas, for sentences.
    """

    def __init__(
        self,
        fetch: Callable[[int], Any],
        parse: Callable[[Any], Any],
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        kind: str = "Avro",
    ) -> None:
        self._fetch = fetch
        self._parse = parse
        self._folder = folder
        self._clock = clock
        self._kind = kind
        self._known: dict[int, Any] = {}
        self._refused: dict[int, float] = {}  # id -> time until which it is refused
        self._awaited: dict[int, None] = {}  # in order: the first is asked for first
        self._outage = ""
        self._silent_until = -math.inf
        self._budget, self._counted = _BURST, clock()
        self._asking = threading.Lock()

    def known(self, schema_id: int) -> Any:
        """Return the schema; None when it is not known."""
        return self._known.get(schema_id)

    def is_awaited(self, schema_id: int) -> bool:
        """Tell if the registry has not answered for this id yet."""
        return schema_id in self._awaited

    @property
    def waits(self) -> bool:
        """True while any id is awaited."""
        return bool(self._awaited)

    def explain(self, schema_id: int) -> str:
        """Explain in a sentence that an id is not known."""
        if schema_id in self._awaited:
            return self._outage
        if schema_id in self._refused or not 0 <= schema_id <= _LARGEST_ID:
            return f"The schema registry has no {self._kind} schema {schema_id} that can be read."
        return (
            f"The schema {schema_id} is not known. The registry was not asked for it: too many ids "
            "came that it does not have."
        )

    def lacks(self, ids: Iterable[int]) -> list[int]:
        """Return the ids that should be looked up."""
        now = self._clock()
        return [
            schema_id
            for schema_id in ids
            if schema_id not in self._known
            and 0 <= schema_id <= _LARGEST_ID
            and self._refused.get(schema_id, now) <= now
        ]

    def look_up(self, ids: Iterable[int]) -> None:
        """Read schemas from disk or ask the registry for them, for a few seconds at most."""
        with self._asking:
            start = self._clock()
            for schema_id in ids:
                if schema_id in self._known or self._read(schema_id):
                    continue
                now = self._clock()
                if self._awaited or now < self._silent_until or now - start > _MAX_LOOK_UP_SECONDS:
                    # An id that the registry once denied stays refused during an outage: garbage
                    # must not stop the partition.
                    if schema_id not in self._refused:
                        self._awaited[schema_id] = None
                elif self._affordable():
                    self._ask(schema_id)

    def retry(self) -> str:
        """Ask for the awaited schemas again, for a few seconds at most.

        Returns:
            Reason of the outage; empty when the registry has answered, or nothing is awaited.
        """
        with self._asking:
            start, awaited = self._clock(), list(self._awaited)
            for schema_id in awaited:
                if self._ask(schema_id):
                    self._awaited.clear()  # the registry is back: the next look-up asks for others
                    return ""
                if self._clock() - start > _MAX_LOOK_UP_SECONDS:
                    break
            return self._outage if awaited else ""

    def _affordable(self) -> bool:
        """Refill the token bucket of requests, and tell if a token is left."""
        now = self._clock()
        self._budget = min(_BURST, self._budget + (now - self._counted) * _PER_SECOND)
        self._counted = now
        return self._budget >= 1

    def _ask(self, schema_id: int) -> bool:
        """Ask the registry for one schema, and tell if it answered."""
        self._awaited.pop(schema_id, None)
        try:
            raw = self._fetch(schema_id)
        except RegistryUnavailable as error:
            self._outage = error.message
            self._silent_until = self._clock() + _AGAIN_SECONDS
            if schema_id not in self._refused:
                self._awaited[schema_id] = None  # to the end, so that `retry` tries another first
            return False
        self._silent_until = -math.inf
        if raw is not None and self._take(schema_id, raw):
            self._write(schema_id, raw)
            return True
        self._budget -= 1
        self._refused.pop(schema_id, None)
        if len(self._refused) >= _MAX_REFUSED:
            self._refused.pop(next(iter(self._refused)))
        self._refused[schema_id] = self._clock() + _AGAIN_SECONDS
        return True

    def _take(self, schema_id: int, raw: Any) -> bool:
        """Parse a schema and keep it; tell if it is one."""
        try:
            self._known[schema_id] = self._parse(raw)
        except Exception:  # noqa: BLE001  # the parser raises whatever it is led to
            return False
        self._refused.pop(schema_id, None)
        return True

    # -- the disk

    def _read(self, schema_id: int) -> bool:
        """Read a schema from disk, and tell if it is there; a damaged file counts as missing."""
        if self._folder is None:
            return False
        path = self._folder / f"{schema_id}.json"
        try:
            stored = json.loads(path.read_bytes())
            intact = stored["id"] == schema_id and stored["sha256"] == _digest(stored["schema"])
        except FileNotFoundError:
            return False
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            _log.warning("stored_schema_unreadable", path=str(path), cause=str(error))
            return False
        if not intact or not self._take(schema_id, stored["schema"]):
            _log.warning("stored_schema_damaged", path=str(path))
            return False
        return True

    def _write(self, schema_id: int, raw: Any) -> None:
        if self._folder is None:
            return
        stored = {"id": schema_id, "sha256": _digest(raw), "schema": raw}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary = self._folder / f".{schema_id}.{os.getpid()}"
            temporary.write_text(json.dumps(stored))
            temporary.replace(self._folder / f"{schema_id}.json")  # readers see all of it, or none
        except OSError as error:  # the next start asks the registry
            _log.warning("schema_not_stored", folder=str(self._folder), cause=str(error))


def _digest(schema: Any) -> str:
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
