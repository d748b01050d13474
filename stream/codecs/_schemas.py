"""Schemas by id: in memory, on disk, from the registry; and which ids are not to be had now."""

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
"""Until an id that the registry does not have is asked for again: it may lag behind a producer.
And, while nobody waits for one, until a registry that did not answer is asked again."""
_BURST = 20.0
_PER_SECOND = 1.0
"""Answers "there is none" that are asked for at most: garbage must not flood the registry."""
_PATIENCE_SECONDS = 5.0
"""Asking after which what is left waits; one request may take as long by itself."""

_log = structlog.stdlib.get_logger("ember")


class Schemas:
    """What is known of ids of schemas. Asking blocks; everything else answers at once.

    An id is known, or refused (the registry has none, or too many of its kind were asked for
    lately), or awaited: the registry did not answer, so that it may be a good one.

    Args:
        fetch: Schema of an id as JSON, None when there is none; may raise `RegistryUnavailable`.
        parse: Makes a schema of it; raises whatever it likes where it is none.
        folder: Keeps what was fetched: a start does not depend on the registry. None: nothing is.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        fetch: Callable[[int], Any],
        parse: Callable[[Any], Any],
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._parse = parse
        self._folder = folder
        self._clock = clock
        self._known: dict[int, Any] = {}
        self._refused: dict[int, float] = {}  # until when
        self._awaited: dict[int, None] = {}
        self._why = ""
        self._silent_until = -math.inf
        self._budget, self._counted = _BURST, clock()
        self._asking = threading.Lock()

    def known(self, schema_id: int) -> Any:
        """The schema; None when there is none."""
        return self._known.get(schema_id)

    def is_awaited(self, schema_id: int) -> bool:
        """Whether the registry has still to say what it is."""
        return schema_id in self._awaited

    @property
    def waits(self) -> bool:
        """Whether any id is awaited."""
        return bool(self._awaited)

    def why(self, schema_id: int) -> str:
        """Why an id is not known, as a sentence."""
        if schema_id in self._awaited:
            return self._why
        if schema_id in self._refused or not 0 <= schema_id <= _LARGEST_ID:
            return f"The schema registry has no Avro schema {schema_id}."
        return (
            f"The schema {schema_id} is not known. The registry was not asked for it: too many ids "
            "came that it does not have."
        )

    def lacks(self, ids: Iterable[int]) -> list[int]:
        """Those that should be looked up."""
        now = self._clock()
        return [
            each
            for each in ids
            if each not in self._known
            and 0 <= each <= _LARGEST_ID
            and self._refused.get(each, now) <= now
        ]

    def look_up(self, ids: Iterable[int]) -> None:
        """Read them from the disk or ask the registry for them, for a few seconds at most."""
        with self._asking:
            began = self._clock()
            for each in ids:
                if each in self._known or self._read(each):
                    continue
                now = self._clock()
                if self._awaited or now < self._silent_until or now - began > _PATIENCE_SECONDS:
                    if each not in self._refused:  # what was garbage is garbage in an outage too
                        self._awaited[each] = None
                elif self._affordable():
                    self._ask(each)

    def retry(self) -> str:
        """Ask for what is awaited again, for a few seconds at most.

        Returns:
            Why nothing can go on; empty when the registry has answered, or nothing is awaited.
        """
        with self._asking:
            began, asked = self._clock(), list(self._awaited)
            for each in asked:
                if self._ask(each):
                    self._awaited.clear()  # who needs the others looks them up
                    return ""
                if self._clock() - began > _PATIENCE_SECONDS:
                    break
            return self._why if asked else ""

    def _affordable(self) -> bool:
        now = self._clock()
        self._budget = min(_BURST, self._budget + (now - self._counted) * _PER_SECOND)
        self._counted = now
        return self._budget >= 1

    def _ask(self, schema_id: int) -> bool:
        """Whether the registry answered."""
        self._awaited.pop(schema_id, None)
        try:
            raw = self._fetch(schema_id)
        except RegistryUnavailable as error:
            self._why = error.message
            self._silent_until = self._clock() + _AGAIN_SECONDS
            if schema_id not in self._refused:
                self._awaited[schema_id] = None  # at the end: the next time others come first
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
        """Whether it is a schema."""
        try:
            self._known[schema_id] = self._parse(raw)
        except Exception:  # noqa: BLE001  # the parser raises whatever it is led to
            return False
        self._refused.pop(schema_id, None)
        return True

    # -- the disk

    def _read(self, schema_id: int) -> bool:
        """Whether the disk has it; what is damaged there is asked for anew."""
        if self._folder is None:
            return False
        path = self._folder / f"{schema_id}.json"
        try:
            kept = json.loads(path.read_bytes())
            whole = kept["id"] == schema_id and kept["sha256"] == _digest(kept["schema"])
        except FileNotFoundError:
            return False
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            _log.warning("a kept schema cannot be read", path=str(path), why=str(error))
            return False
        if not whole or not self._take(schema_id, kept["schema"]):
            _log.warning("a kept schema is damaged", path=str(path))
            return False
        return True

    def _write(self, schema_id: int, raw: Any) -> None:
        if self._folder is None:
            return
        kept = {"id": schema_id, "sha256": _digest(raw), "schema": raw}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            aside = self._folder / f".{schema_id}.{os.getpid()}"
            aside.write_text(json.dumps(kept))
            aside.replace(self._folder / f"{schema_id}.json")  # readers see all of it, or none
        except OSError as error:  # the next start asks the registry
            _log.warning("a schema was not kept", folder=str(self._folder), why=str(error))


def _digest(schema: Any) -> str:
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
