"""Models whose channels come from counters, aggregates and formulas, in the engine."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ember_core.pipeline import FleetModel, Pipeline, PipelineConfig
from ember_core.rows import RecipeChannel, RowRecipe
from stream.codecs import make_codec
from stream.configure import window_spec
from stream.engine import Engine, Limits, SliceOffsets, WindowSpec
from stream.records import Decoded
from stream.settings import Settings
from tests.contract.test_codecs import Message
from tests.stream.engine.conftest import SECOND, SMALL, START, TP

RATE_OF_A = RowRecipe((RecipeChannel("a", "a", "rate"), RecipeChannel("b", "b")))
RATE_OF_B = RowRecipe((RecipeChannel("a", "a"), RecipeChannel("b", "b", "rate")))


def untrained(recipe: RowRecipe | None, channels: tuple[str, ...], sha256: str) -> FleetModel:
    """A model that has learnt nothing."""
    pipeline = Pipeline(PipelineConfig(channels, **{**SMALL, "horizons": (1,)}))
    pipeline.freeze()
    state, new = pipeline.initial_state(0), pipeline.initial_state(1)
    return FleetModel(pipeline, [], state, new, sha256=sha256, recipe=recipe)


def noted(engine: Engine) -> list[tuple[int, list[float]]]:
    """What the engine makes rows of, from now on."""
    rows: list[tuple[int, list[float]]] = []
    maker: Any = engine._stepper._rows
    complete = maker.complete

    def complete_and_note(samples: Any) -> Any:
        result = complete(samples)
        times, values = result.rows.time_us.tolist(), result.rows.values.tolist()
        rows.extend(zip(times, values, strict=True))
        return result

    maker.complete = complete_and_note
    return rows


def feed(engine: Engine, begin: int, end: int) -> None:
    """Two counters of one key, 5 and 7 a second."""
    seconds = np.arange(begin, end) * 10
    values = np.column_stack([5.0 * seconds, 7.0 * seconds])
    n = end - begin
    batch = Decoded([b"k"] * n, START + seconds * SECOND, values, np.arange(n, dtype=np.int32), [])
    engine.step(TP, batch, SliceOffsets(np.arange(begin, end), np.full(n, 2**43)))


def switched(before: FleetModel, after: FleetModel) -> list[tuple[int, list[float]]]:
    """Rows after a model took the place of another."""
    engine = Engine(before, WindowSpec(), Limits(8, stale_intervals=0))
    engine.attach(TP)
    feed(engine, 0, 20)
    engine.switch_model(after, [TP])
    rows = noted(engine)
    feed(engine, 20, 23)
    return rows


def test_a_model_of_the_same_recipe_goes_on_with_the_counters() -> None:
    before, after = (untrained(RATE_OF_A, ("a", "b"), sha * 32) for sha in ("11", "22"))
    rows = switched(before, after)
    assert [row for _, row in rows] == [[5.0, 1400.0], [5.0, 1470.0], [5.0, 1540.0]]


def test_another_recipe_begins_its_counters_anew() -> None:
    """A counter's last value is not taken for that of another, whatever the names."""
    before = untrained(RATE_OF_A, ("a", "b"), "11" * 32)
    rows = switched(before, untrained(RATE_OF_B, ("a", "b"), "22" * 32))
    assert repr([row for _, row in rows]) == "[[1000.0, nan], [1050.0, 7.0], [1100.0, 7.0]]"
    rows = switched(before, untrained(None, ("a", "b"), "33" * 32))
    assert [row for _, row in rows] == [[1000.0, 1400.0], [1050.0, 1470.0], [1100.0, 1540.0]]
    rows = switched(untrained(None, ("a", "b"), "33" * 32), before)
    assert repr(rows[0][1]) == "[nan, 1400.0]"


def test_scales_of_a_value_are_not_taken_for_those_of_its_rate() -> None:
    """Another recipe is another channel: only the place in the log is kept."""
    before, after = (untrained(r, ("a", "b"), s * 32) for r, s in ((RATE_OF_A, "11"), (None, "22")))
    engine = Engine(before, WindowSpec(), Limits(8, stale_intervals=0))
    engine.attach(TP)
    feed(engine, 0, 20)
    engine.switch_model(after, [TP])
    row = engine.layout.views(np.frombuffer(engine.row(TP, b"k") or b"", dtype=np.uint8)[None])
    assert int(row["rows"][0]) == 0
    assert int(row["offset"][0]) == 19


def test_counters_survive_a_restart() -> None:
    model = untrained(RATE_OF_A, ("a", "b"), "11" * 32)
    first, second = (Engine(model, WindowSpec(), Limits(8, stale_intervals=0)) for _ in range(2))
    first.attach(TP)
    feed(first, 0, 20)
    second.attach(TP)
    taken = first.take_dirty(TP)
    second.load(TP, taken.keys, taken.rows)
    rows = noted(second)
    feed(second, 18, 22)  # from before the crash: two are repeated
    assert [row[0] for _, row in rows] == [5.0, 5.0]


def test_one_metric_a_message_makes_whole_rows_by_default() -> None:
    """Two plugins of Telegraf at the same times: 300 rows of two channels, nothing late."""
    settings = Settings(input={"codec": "telegraf"})
    channels = ("cpu.usage", "mem.used")
    engine = Engine(untrained(None, channels, "11" * 32), window_spec(settings), Limits(8))
    engine.attach(TP)
    rows = noted(engine)
    messages = []
    for i in range(302):
        for name, field, value in (("cpu", "usage", 1.0 + i), ("mem", "used", 2.0 + i)):
            time = START // SECOND + 10 * i
            metric = {"name": name, "tags": {}, "fields": {field: value}, "timestamp": time}
            messages.append(Message(b"web-1", json.dumps(metric).encode()))
    codec = make_codec("telegraf", engine.channels)
    for begin in range(0, len(messages), 50):
        part = messages[begin : begin + 50]
        offsets = np.arange(begin, begin + len(part))
        slice_offsets = SliceOffsets(offsets, np.full(len(part), 2**43))
        engine.step(TP, codec.decode(part), slice_offsets)
    assert "late" not in engine.meta(TP).counts
    assert [row for _, row in rows][:300] == [[1.0 + i, 2.0 + i] for i in range(300)]
