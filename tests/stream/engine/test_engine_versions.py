"""Workers of two versions in one group: a row with more fields, or fewer, is taken over by name.

The version before is played by a layout that lacks a field and has one that is gone now: what an
additive change looks like from both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from ember_core.pipeline import FleetModel, StateField
from stream.engine import META_KEY, Engine, Limits
from stream.engine.state import table as store_module
from stream.engine.state.layout import LAYOUT_VERSION, engine_fields
from tests.stream.engine.conftest import TP, Run, Sent, feed_into, run

LIMITS = Limits(max_keys=64, stale_intervals=5.0)


@contextmanager
def before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Engines made in here are of the version before: without `peak_share`, with `retired`."""

    def fields(channels: int, window: Any, uses: Any) -> tuple[StateField, ...]:
        now = [f for f in engine_fields(channels, window, uses) if f.name != "peak_share"]
        return (*now, StateField("retired", "<f4", (3,), "what was measured then"))

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "engine_fields", fields)
        yield


def written(engine: Engine, log: dict[bytes, bytes | None]) -> None:
    """A checkpoint into a compacted log."""
    dirty = engine.take_dirty(TP)
    log.update(zip(dirty.keys, dirty.rows, strict=True))


def read(engine: Engine, log: dict[bytes, bytes | None]) -> Engine:
    """A worker that reads the log whole, and takes over."""
    keys = sorted(log, key=lambda key: key == META_KEY)
    assert engine.load(TP, keys, [log[key] for key in keys]).damaged == []
    assert engine.migrate(TP).damaged == []
    return engine


def test_an_upgrade_and_the_way_back_forget_nothing(
    model: FleetModel, feed: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, now, before, now: scores and events of one worker that ran through."""
    whole = run(model, feed, limits=LIMITS)
    log: dict[bytes, bytes | None] = {}
    done = Run(Engine(model, limits=LIMITS))
    turns = [(True, 90), (False, 180), (True, 270), (False, len(feed))]
    begin = 0
    for old, end in turns:
        if old:
            with monkeypatch.context() as patch, before(patch):
                engine = Engine(model, limits=LIMITS)
        else:
            engine = Engine(model, limits=LIMITS)
        if log:
            read(engine, log)
        else:
            engine.attach(TP)
        assert ("retired" in {f.name for f in engine.layout.fields}) == old
        done = feed_into(Run(engine, done.scores, done.events), feed, [end], begin=begin)
        written(engine, log)
        begin = end
    assert done.scores == whole.scores
    assert [e.id for e in done.events] == [e.id for e in whole.events]
    assert done.counts() == whole.counts()


def test_a_meta_row_with_unknown_entries_is_read(model: FleetModel, feed: list[Sent]) -> None:
    """A newer version may have written more; what this one knows of it holds."""
    done = run(model, feed, limits=LIMITS)
    log: dict[bytes, bytes | None] = {}
    written(done.engine, log)
    said = msgspec.json.decode(log[META_KEY] or b"")
    log[META_KEY] = msgspec.json.encode({**said, "from_tomorrow": {"x": [1]}})
    assert read(Engine(model, limits=LIMITS), log).meta(TP).counts == done.counts()


def test_a_row_whose_meaning_is_newer_is_not_guessed_at(
    model: FleetModel, feed: list[Sent]
) -> None:
    """A higher layout version says that fields of one name mean something else now."""
    done = run(model, feed, limits=LIMITS)
    log: dict[bytes, bytes | None] = {}
    written(done.engine, log)
    newer = (LAYOUT_VERSION + 1).to_bytes(2, "little")
    log = {k: v if k == META_KEY else newer + (v or b"")[2:] for k, v in log.items()}
    engine = Engine(model, limits=LIMITS)
    engine.load(TP, list(log), list(log.values()))
    assert engine.newer(TP) == LAYOUT_VERSION + 1
    assert Engine(model, limits=LIMITS).load(TP, [], []).accepted == 0
