"""A tiny engine of the real one's interface, whose state shows every lost, doubled or moved record.

Per key it keeps the source offset, a count and a digest that depends on order. Every `EVERY`-th
record of a key makes an event. Values are 8-byte integers.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from stream.engine import RowBlock
from stream.records import Decoded, Event, Message, Reason, Rejected

META_KEY = b"\x00ember.meta"
EVERY = 50
_ROW = struct.Struct("<16xqqQ")  # the offset lies where the real engine has it
_VALUE = struct.Struct("<q")
_MASK = 2**64 - 1


class CountingCodec:
    """8-byte values; anything else is refused as not JSON."""

    def decode(self, messages: Sequence[Message]) -> Decoded:
        keys, values, index, rejected = [], [], [], []
        for i, message in enumerate(messages):
            if message.key is None or message.value is None or len(message.value) != 8:
                rejected.append(Rejected(i, Reason.NOT_JSON, "not 8 bytes"))
                continue
            keys.append(message.key)
            values.append(_VALUE.unpack(message.value)[0])
            index.append(i)
        return Decoded(
            keys=keys,
            time_us=np.zeros(len(keys), np.int64),
            values=np.array(values, np.float64).reshape(-1, 1),
            message=np.array(index, np.int32),
            rejected=rejected,
        )


@dataclass
class Meta:
    topic_id: str = ""
    changelog_id: str = ""
    partition_count: int = 0
    first_offset: int = -1
    absorbed: int = -1
    events_from: int = -1
    clock_us: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    # No documents of operators act on a count.
    control_digest: ClassVar[str] = ""
    control_epochs: ClassVar[tuple[()]] = ()

    def begin_at(self, position: int) -> None:
        if self.first_offset < 0:
            self.first_offset, self.absorbed = position, position - 1

    def add(self, outcome: str, n: int) -> None:
        if n:
            self.counts[outcome] = self.counts.get(outcome, 0) + n


class Dirty(NamedTuple):
    keys: list[bytes]
    rows: list[bytes | None]


class Report(NamedTuple):
    accepted: int
    stale: int
    damaged: list[tuple[bytes, str]]


class _Slab:
    def __init__(self) -> None:
        self.rows: dict[bytes, tuple[int, int, int]] = {}
        self.dirty: set[bytes] = set()
        self.meta = Meta()


class CountingEngine:
    """See the module."""

    channels = ("value",)
    model: Any = None

    def __init__(self, row_padding: int = 0) -> None:
        self.slabs: dict[Any, _Slab] = {}
        self._pad = bytes(row_padding)

    def attach(self, tp: Any) -> None:
        self.slabs.setdefault(tuple(tp), _Slab())

    def detach(self, tp: Any) -> None:
        self.slabs.pop(tuple(tp), None)

    def open(
        self, tp: Any, position: int, events_from: int, events_from_ms: int | None = None
    ) -> bool:
        meta = self.slabs[tuple(tp)].meta
        if meta.first_offset >= 0 or events_from <= position:
            return False
        meta.first_offset, meta.absorbed, meta.events_from = position, position - 1, events_from
        return True

    def give_up(self, tp: tuple[str, int]) -> list[Any]:
        return []

    def tell_silence(self, tp: tuple[str, int]) -> Any:
        return SimpleNamespace(events=[], details=[])

    def note_quiet(self, tp: tuple[str, int], quiet_us: int) -> None:
        """Nothing is idle here."""

    def silent_clock(self, tp: tuple[str, int], clock_us: int, quiet_us: int) -> None:
        return None

    def bound_clocks(self, shares: Any, batch: Decoded, fetch: Any, now_us: int) -> list[Any]:
        return []

    def step_all(self, shares: Any, batch: Decoded, fetch: Any) -> Any:
        """One partition after the other, which is what a joint step must come to."""
        out = SimpleNamespace(
            events=[], sources=[], details=[], rejected=batch.rejected, counts={}, late=[]
        )
        begin = 0
        for tp, count in shares:
            end = begin + count
            first, last = np.searchsorted(batch.message, [begin, end]).tolist()
            own = Decoded(
                batch.keys[first:last],
                batch.time_us[first:last],
                batch.values[first:last],
                batch.message[first:last] - begin,
                [r for r in batch.rejected if begin <= r.message < end],
            )
            events, sources, counts = self._step(tp, own, fetch.offsets[begin:end].tolist())
            out.events += events
            out.sources += [begin + source for source in sources]
            for outcome, number in counts.items():
                out.counts[outcome] = out.counts.get(outcome, 0) + number
            begin = end
        return out

    def _step(self, tp: Any, batch: Decoded, offsets: list[int]) -> Any:
        slab = self.slabs[tuple(tp)]
        rows, dirty = slab.rows, slab.dirty
        events, sources = [], []
        repeated = 0
        for key, value, index in zip(
            batch.keys, batch.values[:, 0].tolist(), batch.message.tolist(), strict=True
        ):
            offset = offsets[index]
            last, count, digest = rows.get(key, (-1, 0, 7))
            if offset <= last:
                repeated += 1
                continue
            count += 1
            digest = (digest * 1_000_003 + int(value)) & _MASK
            rows[key] = (offset, count, digest)
            dirty.add(key)
            if count % EVERY == 0 and offset >= slab.meta.events_from:
                body = json.dumps({"key": key.decode(), "count": count, "digest": digest}).encode()
                name = hashlib.blake2b(body, digest_size=16).hexdigest()
                events.append(Event("trigger", key, name, 0, body))
                sources.append(index)
        meta = slab.meta
        first = offsets[0] if meta.absorbed < 0 else meta.absorbed + 1
        if meta.first_offset < 0:
            meta.first_offset = first
        meta.absorbed = offsets[-1]
        refused = len(batch.rejected)
        counts = {"scored": len(offsets) - refused - repeated, "repeated": repeated}
        counts["not_json"] = refused
        counts["absent"] = offsets[-1] + 1 - first - len(offsets)
        for outcome, n in counts.items():
            meta.add(outcome, n)
        return events, sources, counts

    def has_unwritten(self, tp: Any) -> bool:
        return bool(self.slabs[tuple(tp)].dirty)

    def take_dirty(self, tp: Any, limit: int | None = None) -> Dirty:
        slab = self.slabs[tuple(tp)]
        keys = sorted(slab.dirty)
        slab.dirty.clear()
        rows: list[bytes | None] = [_ROW.pack(*slab.rows[key]) + self._pad for key in keys]
        meta = slab.meta
        rows.append(json.dumps(meta.__dict__, sort_keys=True).encode())
        return Dirty([*keys, META_KEY], rows)

    def mark_dirty(self, tp: Any, keys: Sequence[bytes]) -> None:
        self.slabs[tuple(tp)].dirty.update(key for key in keys if key != META_KEY)

    def load(self, tp: Any, keys: list[bytes], values: list[bytes | None]) -> Report:
        slab = self.slabs[tuple(tp)]
        accepted = stale = 0
        damaged = []
        for key, value in zip(keys, values, strict=True):
            if key == META_KEY:
                if value is None:
                    slab.meta = Meta()
                    continue
                names = Meta.__dataclass_fields__
                meta = Meta(**{k: v for k, v in json.loads(value).items() if k in names})
                if meta.absorbed >= slab.meta.absorbed:
                    slab.meta = meta
                continue
            if value is None:
                slab.rows.pop(key, None)
                continue
            if len(value) < _ROW.size:
                damaged.append((key, "too short"))
                continue
            row = _ROW.unpack(value[: _ROW.size])
            if row[0] >= slab.rows.get(key, (-1,))[0]:
                slab.rows[key] = row
                accepted += 1
            else:
                stale += 1
        return Report(accepted, stale, damaged)

    row_bytes = property(lambda self: _ROW.size + len(self._pad))

    def attached(self) -> list[Any]:
        return list(self.slabs)

    def row_kind(self) -> tuple[str, list[Any]]:
        return "counting", []

    def scan(self, tp: Any) -> _Scan:
        return _Scan(self, tuple(tp))

    def load_block(self, tp: Any, block: RowBlock) -> Report:
        return self.load(tp, block.keys, [row.tobytes() for row in block.rows])

    def unwritten_bytes(self) -> int:
        size = _ROW.size + len(self._pad)
        return size * sum(len(slab.dirty) for slab in self.slabs.values())

    def key_capacity(self) -> int:
        return 1_000_000

    def newer(self, tp: Any) -> int:
        return 0

    def migrate(self, tp: Any, limit: int | None = None) -> Report:
        return Report(0, 0, [])

    def unmigrated(self, tp: Any) -> int:
        return 0

    def meta(self, tp: Any) -> Meta:
        return self.slabs[tuple(tp)].meta

    def keys(self, tp: Any) -> int:
        return len(self.slabs[tuple(tp)].rows)


class _Scan:
    """Clean rows, a few keys at a time."""

    def __init__(self, engine: CountingEngine, tp: Any) -> None:
        self._engine, self._tp, self._slab = engine, tp, engine.slabs[tp]
        self._left = sorted(self._slab.rows)
        self.waiting = 0

    @property
    def gone(self) -> bool:
        return self._engine.slabs.get(self._tp) is not self._slab

    def take(self, limit: int) -> RowBlock | None:
        limit = min(limit, 17)
        while self._left:
            keys, self._left = self._left[:limit], self._left[limit:]
            clean = [key for key in keys if key not in self._slab.dirty]
            self.waiting += len(keys) - len(clean)
            if clean:
                pad = self._engine._pad
                flat = b"".join(_ROW.pack(*self._slab.rows[key]) + pad for key in clean)
                rows = np.frombuffer(flat, dtype=np.uint8).reshape(len(clean), -1)
                return RowBlock(clean, rows)
        return None

    def close(self) -> None:
        """Nothing to do."""


def value_of(number: int) -> bytes:
    """A record's value."""
    return _VALUE.pack(number)


def read_row(row: bytes) -> tuple[int, int, int]:
    """Offset, count and digest of a row."""
    return _ROW.unpack(row[: _ROW.size])
