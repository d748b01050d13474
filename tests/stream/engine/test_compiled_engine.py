"""Two engines on one stream, of which one changes between plain and compiled stages: the same bits.

The change comes between two steps, as in a worker, at steps that are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.pipeline import FleetModel, MotorNeuron
from ember_core.pipeline.compiled import table
from ember_core.pipeline.compiled.compiler import without_compiling
from ember_core.pipeline.compiled.warm import warm_up
from stream.control import ControlSet, Document
from stream.control.rules import Limit, Rule
from stream.engine import Engine, Limits, StepResult, WindowSpec
from stream.feedback import feedback_of
from tests.conftest import examples
from tests.core.pipeline.evidence import fleet
from tests.stream.engine.calendar_feed import calendar
from tests.stream.engine.conftest import (
    CHANNELS,
    INTERVAL,
    KNOWN,
    QUICK,
    SECOND,
    Run,
    Sent,
    cuts_of,
    eventful,
    feed_into,
    fit,
    interleaved,
    same,
    sent,
)
from tests.stream.engine.rules_feed import firing

LIMITS = Limits(max_keys=64, stale_intervals=5.0, detailed=("*",))


@dataclass(frozen=True)
class Stream:
    """A model's bundle, a feed, and how an engine takes it.

    Attributes:
        first: Documents in force from the beginning.
        later: Documents in force from `change` on.
    """

    bundle: Path
    feed: list[Sent] = field(repr=False)
    limits: Limits = LIMITS
    window: WindowSpec | None = None
    first: ControlSet | None = None
    later: ControlSet | None = None

    @property
    def change(self) -> int:
        """Message from which the later documents are in force: after the faults."""
        return 3 * len(self.feed) // 4

    def model(self) -> FleetModel:
        """The model, firing at every little thing; of one engine."""
        model = FleetModel.load(self.bundle, backend="numpy")
        if model.pipeline.config.evidence == "joint":
            model.pipeline.motor = MotorNeuron(1.3, 1.0, time_constant_rows=3.0, refractory_rows=7)
        return model

    def run(self, cuts: Sequence[int], compiled: Sequence[bool]) -> Run:
        """Run the feed; before each step the stages become compiled, or plain."""
        controls = {} if self.first is None else {"control": self.first}
        engine = Engine(self.model(), self.window, self.limits, **controls)
        done, begin = Run(engine), 0
        ends = sorted({*cuts, self.change, len(self.feed)})
        for number, end in enumerate(ends):
            if begin == self.change and self.later is not None:
                engine.use_control(self.later)
            engine.model.pipeline.use_compiled(on=compiled[number % len(compiled)])
            feed_into(done, self.feed, [end], begin=begin)
            begin = end
        return done


def fleet_feed(count: int = 173) -> list[Sent]:
    """Hosts with faults, silences and missing values, and one that the model does not know."""
    first, feeds = fleet.DAYS * fleet.DAY_ROWS, []
    for key in (0, 1, 2, 40):
        values = fleet.rows(key, first, count)
        values[90:120, key % 4] *= 4.0
        values[60:63, 3] = np.nan
        keep = np.ones(count, dtype=bool)
        if key == 2:
            keep[130:150] = False
        times, name = fleet.times(first, count), f"host-{key}".encode()
        rows = zip(times[keep], values[keep], strict=True)
        feeds.append([sent(name, t, row) for t, row in rows])
    return interleaved(*feeds)


@pytest.fixture(scope="module", params=["joint", "channels+joint"])
def streams(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Stream]:
    """Streams of a model with one kind of evidence, by name."""
    folder = tmp_path_factory.mktemp("models") / "bundle"
    if request.param == "joint":
        fit(KNOWN, CHANNELS, periods_seconds=(3600.0,)).save(folder)
        return kinds_of(Stream(folder, list(eventful())), INTERVAL * SECOND)
    fleet.model().save(folder)
    return kinds_of(Stream(folder, fleet_feed()), fleet.STEP_US)


def with_documents(stream: Stream) -> Stream:
    """Rules, planned work and hard limits at first; later feedback on the first events too."""
    times = [message.samples[0][1] for message in stream.feed if message.samples]
    one, two, *_ = stream.model().channels
    bodies = {
        "side": Rule(channels=(one,), direction="above", sensitivity=1.5),
        "less": Rule(channels=(two,), weight=0.5, min_relative_deviation=0.1),
        "range": Rule(keys=("*a*", "*1"), channels=(two,), usual_range=(0.0, 1.0)),
        "limit": Rule(channels=(one,), limit=Limit(above=70.0)),
        "work": calendar(times[len(times) * 10 // 16], times[len(times) * 11 // 16]),
    }
    first = _documents(bodies)
    before = replace(stream, first=first, feed=stream.feed[: stream.change])
    begun = firing(before.run([], [False]))
    assert begun
    bodies["mark"] = feedback_of("mark", [begun[0]], "false-alarm")
    bodies["now"] = feedback_of("now", [begun[-1]], "normal-now")
    return replace(stream, first=first, later=_documents(bodies))


def _documents(bodies: dict[str, Any]) -> ControlSet:
    return ControlSet.of(
        Document(name=name, author="me", time="2026-01-01T00:00:00Z", body=body)
        for name, body in bodies.items()
    )


def kinds_of(stream: Stream, interval_us: int) -> dict[str, Stream]:
    """The stream in other settings, by name."""
    window = WindowSpec(mode="time", interval_us=2 * interval_us, lateness_us=interval_us)
    return {
        "as it is": stream,
        "documents": with_documents(stream),
        "time": replace(stream, window=window),
        "ttl": replace(stream, limits=replace(LIMITS, ttl_us=9 * interval_us)),
    }


def assert_same(one: Run, other: Run) -> None:
    """Compare everything that engines give and keep, bit for bit."""
    same(one, other)
    for a, b in zip(one.steps, other.steps, strict=True):
        for part in fields(StepResult):
            if part.name not in ("scores", "details"):
                assert getattr(a, part.name) == getattr(b, part.name), part.name
        tables = [(a.scores, b.scores), *zip(a.details, b.details, strict=True)]
        for left, right in tables:
            for column in fields(left):
                x, y = getattr(left, column.name), getattr(right, column.name)
                assert_bits(x, y, column.name)


def assert_bits(x: Any, y: Any, name: str) -> None:
    """Compare two columns; NaN is NaN whatever its payload."""
    if not isinstance(x, np.ndarray):
        assert x == y, name
        return
    assert x.dtype == y.dtype, name
    assert x.shape == y.shape, name
    if x.dtype.kind == "f":
        assert np.array_equal(np.isnan(x), np.isnan(y)), name
        x, y = np.nan_to_num(x, nan=0.0), np.nan_to_num(y, nan=0.0)
    assert x.tobytes() == y.tobytes(), name


@pytest.mark.parametrize("kind", ["as it is", "documents", "time", "ttl"])
def test_a_change_of_the_stages_changes_nothing(streams: dict[str, Stream], kind: str) -> None:
    stream, plain = streams[kind], dict[int, Run]()

    @settings(QUICK, max_examples=examples(4))
    @given(
        size=st.sampled_from([3, 17, 101, 4096]),
        compiled=st.lists(st.booleans(), min_size=1, max_size=13),
    )
    def check(size: int, compiled: list[bool]) -> None:
        cuts = cuts_of(size, len(stream.feed))
        if size not in plain:
            plain[size] = stream.run(cuts, [False])
        assert_same(plain[size], stream.run(cuts, [*compiled, True]))

    check()


def test_the_streams_have_what_could_differ(streams: dict[str, Stream]) -> None:
    """The equalities above are about something."""
    done = {name: stream.run([], [True]) for name, stream in streams.items()}
    assert done["as it is"].engine.model.pipeline.is_compiled == bool(table.STAGES)
    for name, whole in done.items():
        assert {"scored", "warming"} <= set(whole.counts()), name
        assert "trigger" in {event.kind for event in whole.events}, name
    assert done["documents"].events != done["as it is"].events
    assert sum(step.planned for step in done["documents"].steps)
    assert done["ttl"].engine.moved.expired


def test_the_warm_up_knows_every_call_of_an_engine(streams: dict[str, Stream]) -> None:
    """A worker that compiled in the middle of a step would stand still for seconds."""
    warm_up(streams["as it is"].model().pipeline)
    for stream in streams.values():
        for size in (1, 4096):
            with without_compiling():
                stream.run(cuts_of(size, len(stream.feed)), [True])
