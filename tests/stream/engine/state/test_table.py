"""Merging changelog rows: what is taken, what is not, and why."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import META_KEY, Engine, Limits, MetaRow, Tombstone, WindowSpec, offset_in
from tests.conftest import lacking
from tests.simulation.spill import DictSpill
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


@pytest.mark.parametrize("max_keys", [64, 1])
def test_a_tombstone_that_says_up_to_when_it_holds(
    model: FleetModel, old_and_new: tuple[dict, dict], max_keys: int
) -> None:
    """A zombie's late row does not bring a forgotten key back, nor its late tombstone end a row."""
    old, new = old_and_new
    engine = Engine(model, None, Limits(max_keys=max_keys), DictSpill)
    assert offset_in(old[b"a"]) < offset_in(old[b"b"]) < offset_in(new[b"a"]) < 10**6
    until = Tombstone(offset_in(old[b"b"]))
    keys = [b"a", b"b", b"b", b"b", b"a", b"a", b"a"]
    values = [old[b"a"], old[b"b"], until, old[b"b"], new[b"a"], until, old[b"a"]]
    report = engine.load(TP, keys, values)
    assert (report.accepted, report.stale, report.damaged) == (4, 3, [])
    assert {k: engine.row(TP, k) for k in (b"a", b"b")} == {b"a": new[b"a"], b"b": None}
    assert engine.load(TP, [b"b"], [new[b"b"]]).accepted == 1  # it has come back
    assert engine.row(TP, b"b") == new[b"b"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(b"b", None, id="a tombstone of a state tool"),
        pytest.param(META_KEY, None, id="a partition that begins anew"),
        pytest.param(META_KEY, MetaRow(rebased=1).encode(), id="a rebase"),
    ],
)
def test_where_offsets_begin_anew_no_row_is_late(
    model: FleetModel, old_and_new: tuple[dict, dict], key: bytes, value: bytes | None
) -> None:
    old, _ = old_and_new
    engine = Engine(model)
    keys = [b"b", b"b", META_KEY, key, b"b"]
    meta = MetaRow(absorbed=10**6).encode()
    report = engine.load(TP, keys, [old[b"b"], Tombstone(10**6), meta, value, old[b"b"]])
    assert report.stale == 0
    assert engine.row(TP, b"b") == old[b"b"]


def test_only_so_many_forgotten_keys_are_remembered(
    model: FleetModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.engine.state.tombstones._MOST", 3)
    engine = Engine(model)
    keys = [b"%d" % i for i in range(7)]
    assert engine.load(TP, keys, [Tombstone(5)] * 7).accepted == 7
    assert [key in engine._parts[TP].tombstone_index for key in keys] == [False] * 4 + [True] * 3
    engine.migrate(TP)
    assert not any(key in engine._parts[TP].tombstone_index for key in keys)


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
    assert [k for k, _ in report.damaged].count(META_KEY) == 1 + len(metas)
    adopted = engine.migrate(TP)  # what is no row of ours may be one of another layout
    why = dict([*report.damaged, *adopted.damaged])
    assert set(why) == set(wrong)
    assert f"{len(good) - 1} bytes where a row of its model has {len(good)}" in why[b"cut"]
    assert "layout 9" in why[b"layout"]
    assert "another model" in why[b"model"]
    assert engine.keys(TP) == 2
    assert adopted.accepted == 0
    clean = Engine(model)
    clean.load(TP, [b"a", b"b", META_KEY], [new[b"a"], new[b"b"], new[META_KEY]])
    more = rows_of(b"a", signal(9, 3, 5), START + 10**4 * SECOND)
    ends = [feed_into(Run(e), more, first_offset=500) for e in (engine, clean)]
    same(*ends)


def test_a_damaged_row_takes_the_older_one_of_its_key_along(
    model: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    """Half of a memory is worse than none: messages between the two would be missing."""
    old, new = old_and_new
    for broken in (b"short", new[b"a"][:-1]):
        engine = Engine(model)
        engine.load(TP, [b"a", b"b", b"a"], [old[b"a"], new[b"b"], broken])
        engine.migrate(TP)
        assert engine.row(TP, b"a") is None
        assert engine.row(TP, b"b") == new[b"b"]


@pytest.fixture
def retrained(tmp_path: Path) -> FleetModel:
    """Same shapes, other weights."""
    found = fit(KNOWN, CHANNELS, rows=150, seed=1)
    found.save(tmp_path)
    return found


def test_rows_that_no_meta_row_describes_are_not_taken_over(
    model: FleetModel, retrained: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    _, new = old_and_new
    for engine in (Engine(retrained), Engine(model, WindowSpec("time"))):
        engine.load(TP, [b"a", b"b"], [new[b"a"], new[b"b"]])
        report = engine.migrate(TP)
        assert report.accepted == 0
        assert [key for key, _ in report.damaged] == [b"a", b"b"]
        assert all("no meta row describes" in why for _, why in report.damaged)
        assert engine.keys(TP) == 0


def fields_of(engine: Engine, key: bytes) -> dict[str, np.ndarray]:
    row = np.frombuffer(engine.row(TP, key) or b"", dtype=np.uint8)[None]
    return {name: value[0].copy() for name, value in engine.layout.views(row).items()}


def test_another_window_mode_keeps_every_field_of_equal_name_and_shape(
    model: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    _, new = old_and_new
    before = Engine(model)
    before.load(TP, list(new), list(new.values()))
    after = Engine(model, WindowSpec("time"))
    after.load(TP, list(new), list(new.values()))
    assert after.keys(TP) == 0  # until it is known what they are
    assert after.migrate(TP) == (2, 0, [])
    old, now = fields_of(before, b"a"), fields_of(after, b"a")
    assert set(now) - set(old) > {"max_time", "window_start"}
    for name, value in old.items():
        np.testing.assert_array_equal(now[name], value, err_msg=name)
    after.open(TP, 40, -1)
    assert set(after.take_dirty(TP).keys) == {b"a", b"b", META_KEY}  # written anew at once


def test_a_new_model_keeps_what_was_measured_and_begins_the_rest_anew(
    model: FleetModel, retrained: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    _, new = old_and_new
    before = Engine(model)
    before.load(TP, list(new), list(new.values()))
    after = Engine(retrained)
    after.load(TP, list(new), list(new.values()))
    assert after.migrate(TP).accepted == 2
    fresh = Engine(retrained)
    feed_into(Run(fresh), rows_of(b"a", signal(1, 3, 0)))
    old, now = fields_of(before, b"a"), fields_of(after, b"a")
    for name in ("offset", "seq", "last_time", "norm_mean", "ewma", "interval"):
        np.testing.assert_array_equal(now[name], old[name], err_msg=name)
    for name in ("liquid", "evidence"):
        assert not np.any(now[name]), name
    assert now["rows"] == 0  # known to the bundle: quiet until its windows have found their level
    assert int(now["model"]) == int(fields_of(fresh, b"a")["model"]) != int(old["model"])
    later = rows_of(b"a", signal(40, 3, 0) * 50.0, START + 10**4 * SECOND)
    assert feed_into(Run(after), later, first_offset=500).events == []  # no storm at a swap


def test_a_new_model_gives_an_unknown_key_a_short_warm_up(
    model: FleetModel, retrained: FleetModel
) -> None:
    config = model.pipeline.config
    done = run(model, rows_of(b"new", signal(config.warmup_alarm + 9, 3, 11)))
    written = taken(done)
    after = Engine(retrained)
    after.load(TP, list(written), list(written.values()))
    after.migrate(TP)
    assert fields_of(after, b"new")["rows"] == config.warmup_alarm - config.quiet_rows


def test_other_channels_keep_only_the_place_in_the_log(
    model: FleetModel, old_and_new: tuple[dict, dict]
) -> None:
    """Equal shapes, but other names: a mean of one is none of the other."""
    _, new = old_and_new
    other = fit(KNOWN, ("load", "heat", "level"), rows=150, seed=1)
    other.sha256 = "ab" * 32
    after = Engine(other)
    after.load(TP, list(new), list(new.values()))
    assert after.migrate(TP).accepted == 2
    before = Engine(model)
    before.load(TP, list(new), list(new.values()))
    old, now = fields_of(before, b"a"), fields_of(after, b"a")
    assert now["offset"] == old["offset"]
    assert not np.array_equal(now["norm_mean"], old["norm_mean"])


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


def test_what_has_changed_since_it_was_taken_is_known_in_bytes(model: FleetModel) -> None:
    engine = Engine(model)
    assert engine.unwritten_bytes() == 0
    done = feed_into(Run(engine), FEED)
    assert engine.unwritten_bytes() == engine.row_bytes * len(done.rows())
    engine.take_dirty(TP, 1)
    assert engine.unwritten_bytes() == engine.row_bytes * (len(done.rows()) - 1)
    engine.take_dirty(TP)
    assert engine.unwritten_bytes() == 0


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


@pytest.mark.parametrize("backend", ["torch", "mlx"])
def test_a_model_on_other_arrays_is_refused_with_the_mend(bundle: Path, backend: str) -> None:
    """State is rows of NumPy: said at once, not by another library at the first record."""
    if find_spec(backend) is None:
        lacking(backend, f"{backend} is not installed")
    away = FleetModel.load(bundle, backend=backend)
    with pytest.raises(ValueError, match=rf"Received: backend='{backend}'.*to\(backend=\"numpy\""):
        Engine(away)
    Engine(away.to(backend="numpy"))
