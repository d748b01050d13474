"""Merging changelog rows: what is taken, what is not, and why."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ember_core.fleet import FleetModel
from stream.engine import META_KEY, Engine, Limits, MetaRow, WindowSpec
from tests.stream.engine.conftest import (
    CHANNELS,
    KNOWN,
    SECOND,
    START,
    TP,
    Run,
    feed_into,
    fit,
    interleaved,
    rows_of,
    run,
    same,
    signal,
)

FEED = interleaved(*(rows_of(k, signal(20, 3, n)) for n, k in enumerate((b"a", b"b"))))


def taken(done: Run) -> dict[bytes, bytes | None]:
    dirty = done.engine.take_dirty(TP)
    return dict(zip(dirty.keys, dirty.rows, strict=True))


@pytest.fixture
def old_and_new(model: FleetModel) -> tuple[dict, dict]:
    """Two checkpoints of one partition."""
    done = run(model, FEED[:20])
    old = taken(done)
    feed_into(done, FEED, begin=20)
    return old, taken(done)


def test_whatever_the_order_the_newest_row_stays(
    model: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    """A zombie's late write does not bring an old row back; the meta row neither."""
    old, new = old_and_new
    entries = [(k, v) for rows in (old, new) for k, v in rows.items()]
    for order in itertools.islice(itertools.permutations(entries), 0, None, 37):
        engine = Engine(model)
        keys, values = zip(*order, strict=True)
        report = engine.load(TP, list(keys), list(values))
        assert {k: engine.row(TP, k) for k in (b"a", b"b")} == {k: new[k] for k in (b"a", b"b")}
        assert engine.meta(TP) == MetaRow.decode(new[META_KEY])
        assert report.accepted + report.stale == 4
        assert report.damaged == []


def test_an_equal_row_is_taken_so_that_the_log_has_the_last_word(
    model: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    """A silent key's row changes without a new offset."""
    _, new = old_and_new
    engine = Engine(model)
    changed = bytearray(new[b"a"])
    changed[engine.layout.dtype.fields["stale"][1]] = 1
    report = engine.load(TP, [b"a", b"a"], [new[b"a"], bytes(changed)])
    assert (report.accepted, report.stale) == (2, 0)
    assert engine.row(TP, b"a") == bytes(changed)


def test_a_tombstone_forgets_a_key(model: FleetModel, old_and_new: tuple[dict, dict]) -> None:
    """It begins anew; a row written after the tombstone lives; of an unknown key it is nothing."""
    old, new = old_and_new
    engine = Engine(model)
    keys = [b"a", b"b", b"a", b"never seen", b"b", b"b"]
    report = engine.load(TP, keys, [new[b"a"], old[b"b"], None, None, None, new[b"b"]])
    assert report.damaged == []
    assert engine.keys(TP) == 1
    assert engine.active_keys == 1
    assert (engine.row(TP, b"a"), engine.row(TP, b"b")) == (None, new[b"b"])
    again = feed_into(Run(engine), rows_of(b"a", signal(20, 3, 0)), first_offset=10**6)
    assert again.scores == run(model, rows_of(b"a", signal(20, 3, 0))).scores


def test_damaged_rows_are_named_and_nothing_else_suffers(
    model: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    """Cut, grown, empty, of another layout, of another model, and a meta row that is none."""
    _, new = old_and_new
    engine = Engine(model)
    good = new[b"a"]
    at = engine.layout.dtype.fields["model"][1]
    wrong = {
        b"cut": good[:-1],
        b"grown": good + b"\0",
        b"empty": b"",
        b"layout": (9).to_bytes(2, "little") + good[2:],
        b"model": good[:at] + bytes(8) + good[at + 8 :],
        META_KEY: b'{"absorbed": "many"}',
    }
    metas = [b"", b"\xff\xfe", b'{"topic_id": "\xff"}', b"[]", b'{"counts": {"scored": 1.5}}']
    keys = [b"a", *wrong, *[META_KEY] * len(metas), b"b", META_KEY]
    values = [good, *wrong.values(), *metas, new[b"b"], new[META_KEY]]
    report = engine.load(TP, keys, values)
    assert report.accepted == 2
    assert [k for k, _ in report.damaged].count(META_KEY) == 1 + len(metas)
    why = dict(report.damaged)
    assert set(why) == set(wrong)
    assert f"{len(good) - 1} bytes where a row has {len(good)}" in why[b"cut"]
    assert "layout 9" in why[b"layout"]
    assert "another model" in why[b"model"]
    clean = Engine(model)
    clean.load(TP, [b"a", b"b", META_KEY], [new[b"a"], new[b"b"], new[META_KEY]])
    more = rows_of(b"a", signal(9, 3, 5), START + 10**4 * SECOND)
    ends = [feed_into(Run(e), more, first_offset=500) for e in (engine, clean)]
    same(*ends)


def test_rows_of_another_model_or_shape_are_refused_with_a_reason(
    model: FleetModel, old_and_new: tuple[dict, dict], tmp_path: object
) -> None:
    """Retrained: same shape, other digest. More channels, or another window mode: other bytes."""
    _, new = old_and_new
    retrained = fit(KNOWN, CHANNELS, rows=150, seed=1)
    retrained.save(tmp_path)  # type: ignore[arg-type]
    for engine, word in (
        (Engine(retrained), "another model"),
        (Engine(model, WindowSpec("time")), "bytes"),
    ):
        report = engine.load(TP, [b"a", b"b"], [new[b"a"], new[b"b"]])
        assert report.accepted == 0
        assert [key for key, _ in report.damaged] == [b"a", b"b"]
        assert all(word in why for _, why in report.damaged)
        assert engine.keys(TP) == 0


def test_rows_beyond_the_key_limit_are_reported(
    model: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    _, new = old_and_new
    engine = Engine(model, limits=Limits(max_keys=1))
    report = engine.load(TP, [b"a", b"b", b"a"], [new[b"a"], new[b"b"], new[b"a"]])
    assert report.accepted == 2
    ((key, why),) = report.damaged
    assert key == b"b"
    assert "state.max_keys" in why


def test_loading_makes_nothing_dirty_and_a_known_key_begins_with_its_scales(
    model: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    _, new = old_and_new
    engine = Engine(model)
    engine.load(TP, [b"a"], [new[b"a"]])
    assert engine.take_dirty(TP).keys == [META_KEY]
    feed_into(Run(engine), rows_of(b"c", signal(1, 3, 2)), first_offset=900)
    row = engine.layout.views(
        np.frombuffer(engine.row(TP, b"c") or b"", dtype=np.uint8)[None].copy()
    )
    number = model.keys.index(b"c")
    assert row["known"][0] == 1
    assert row["norm_mean"][0].tolist() == model.key_state["norm_mean"][number].tolist()


def test_a_freed_slot_keeps_nothing_of_its_last_key(model: FleetModel) -> None:
    """After a partition is given up, another's keys begin as in a fresh engine."""
    engine = Engine(model, limits=Limits(max_keys=2))
    other = ("telemetry", 9)
    engine.attach(other)
    done = feed_into(Run(engine), FEED)
    engine.detach(TP)
    assert engine.attached() == [other]
    fresh = rows_of(b"new", signal(80, 3, 0))
    done = feed_into(Run(engine), fresh)
    reference = run(model, fresh)
    assert done.scores[b"new"] == reference.scores[b"new"]
    assert done.rows() == reference.rows()
