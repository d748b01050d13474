"""The row: what lies where, and that nothing depends on chance."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import FleetModel, Pipeline, PipelineConfig, StateField
from stream.engine import Engine, RowLayout, WindowSpec
from stream.engine.state.layout import (
    LAYOUT_VERSION,
    channel_fields,
    engine_fields,
    pause_fields,
)
from stream.engine.state.slab import Slab
from tests.stream.engine.conftest import TP, rows_of, run, signal


@pytest.mark.parametrize("window", [None, WindowSpec("time")])
def test_fields_lie_apart_aligned_and_without_gaps_inside(
    model: FleetModel, window: WindowSpec | None
) -> None:
    """What a row holds is what is described; only its end may be padded."""
    layout = Engine(model, window).layout
    end = 0
    for part in sorted(layout.describe(), key=lambda d: d["offset"]):
        size = np.dtype(part["dtype"]).itemsize
        assert part["offset"] % size == 0
        assert part["offset"] - end < 8
        assert part["offset"] >= end
        assert part["doc"]
        end = part["offset"] + size * int(np.prod(part["shape"]))
    assert 0 <= layout.nbytes - end < 8
    gaps = layout.nbytes - sum(f.nbytes for f in layout.fields)
    assert gaps < 16


@pytest.mark.parametrize("window", [WindowSpec(), WindowSpec("time")])
def test_a_key_of_eight_channels_takes_four_kilobytes_at_most(window: WindowSpec) -> None:
    """With channel evidence and everything that a row may hold beside it."""
    channels = 8
    names = tuple(f"c{i}" for i in range(channels))
    pipeline = Pipeline(PipelineConfig(names, evidence="channels+joint"))
    own = (*engine_fields(channels, window), *channel_fields(channels), *pause_fields())
    assert RowLayout((*pipeline.state_fields(), *own)).nbytes <= 4096


def test_views_write_through_and_rows_do_not_touch(model: FleetModel) -> None:
    layout = Engine(model).layout
    rows = np.zeros((3, layout.nbytes), dtype=np.uint8)
    views = layout.views(rows)
    for f in layout.fields:
        assert views[f.name].shape == (3, *f.shape)
        views[f.name][1] = 1
    assert not rows[0].any()
    assert not rows[2].any()
    assert rows[1].any()


def test_the_header_comes_first_and_says_offset_time_and_model(model: FleetModel) -> None:
    """A changelog row can be read by hand."""
    done = run(model, rows_of(b"a", signal(3, 3, 0)))
    layout = done.engine.layout
    assert [f.name for f in layout.fields[:5]] == list(RowLayout.HEADER)
    row = done.engine.row(TP, b"a") or b""
    views = layout.views(np.frombuffer(row, dtype=np.uint8)[None].copy())
    assert int.from_bytes(row[:2], "little") == views["layout"][0] == LAYOUT_VERSION
    assert int(views["offset"][0]) == done.engine.meta(TP).absorbed == 19
    assert int(views["model"][0]).to_bytes(8, "little").hex() == model.sha256[:16]


def test_a_name_may_not_occur_twice() -> None:
    fields = [StateField(n, "<i8", (), "") for n in (*RowLayout.HEADER, "rows", "rows")]
    with pytest.raises(ValueError, match="twice"):
        RowLayout(tuple(fields))


def test_a_slab_gives_each_slot_once_until_it_is_freed() -> None:
    """And counts what is in use; a full one says so."""
    slab = Slab(nbytes=16, max_keys=5)
    slots = [slab.allocate(b"%d" % i, owner=i % 2) for i in range(5)]
    assert sorted(slots) == list(range(5))
    assert slab.full()
    with pytest.raises(MemoryError, match="5"):
        slab.allocate(b"more", 0)
    slab.dirty[slots] = True
    slab.free(slots[1])
    assert (slab.used, slab.full()) == (4, False)
    assert slab.dirty_slots(1).tolist() == [slots[3]]
    assert slab.slots_of(0).tolist() == [slots[0], slots[2], slots[4]]
    assert slab.allocate(b"again", 1) == slots[1]
    assert not slab.dirty[slots[1]]
    assert slab.key(slots[1]) == b"again"
    with pytest.raises(ValueError, match="max_keys"):
        Slab(16, 0)


def test_memory_is_committed_only_for_keys_that_exist() -> None:
    """A slab for very many keys is no sooner paid than used: this would not fit otherwise."""
    slab = Slab(nbytes=1 << 16, max_keys=1 << 20)  # 64 GiB
    slot = slab.allocate(b"one", 0)
    slab.rows[slot] = 7
    assert slab.rows[slot].min() == 7
