"""A small fitted model, feeds of messages, and runs of the engine over them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from ember_core import ops
from ember_core.pipeline import Calibration, FleetModel, MotorNeuron, PipelineConfig, Tail
from ember_core.pipeline.fit import Series, fit_pipeline
from stream.engine import Engine, Limits, SliceOffsets, StepResult, WindowSpec
from stream.engine.state.spill import Spill
from stream.kafka.recovery.spill_files import SpillFiles
from stream.records import Decoded, Event, Reason, Rejected
from tests.conftest import examples
from tests.simulation.spill import DictSpill

QUICK = settings(  # examples are seeds and cuts: shrinking them tells nothing
    max_examples=examples(8),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TP = ("telemetry", 3)
CHANNELS = ("load", "heat", "flow")
KNOWN = (b"a", b"b", b"c")
SECOND = 1_000_000
INTERVAL = 10  # seconds between the rows of a key
START = 1_700_000_000 * SECOND  # a multiple of INTERVAL
SMALL = {
    "hidden": 8,
    "rbm_hidden": 11,
    "horizons": (1, 2),
    "residuals": (1,),
    "warmup_score": 66,
    "warmup_alarm": 73,
    "quiet_rows": 64,
}


def signal(rows: int, channels: int, number: int, part: int = 1) -> np.ndarray:
    """Noise with a short memory, `(T, C)`; levels and sizes are those of key `number`.

    Part 0 is the history a model is fitted on; other parts are other noise.
    """
    own, rng = np.random.default_rng([number]), np.random.default_rng([number, part])
    level, size = 100.0 * own.standard_normal(channels), own.uniform(2.0, 9.0, channels)
    x = rng.standard_normal((rows, channels))
    for t in range(1, rows):
        x[t] += 0.7 * x[t - 1]
    return level + size * x


def with_gaps(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some values missing, but never a whole row."""
    values = np.where(rng.random(values.shape) < 0.07, np.nan, values)
    values[np.isnan(values).all(axis=1), 0] = 0.0
    return values


def times_of(rows: int, rng: np.random.Generator) -> np.ndarray:
    """Irregular times from `START` on, microseconds."""
    return START + (rng.uniform(0.4, 1.6, rows).cumsum() * INTERVAL * SECOND).astype(np.int64)


def fit(keys: Iterable[bytes], channels: Sequence[str], rows: int = 307, **config) -> FleetModel:
    """A model of keys, from a history as irregular as the feeds.

    What decides is set by hand, so that no tuning of the training changes what feeds bring about.
    """
    rng = np.random.default_rng(7)
    series = [
        Series(
            key,
            times_of(rows, rng) - rows * INTERVAL * SECOND,
            with_gaps(signal(rows, len(channels), number, part=0), rng),
        )
        for number, key in enumerate(keys)
    ]
    config = PipelineConfig(channels=tuple(channels), **(SMALL | config))
    with ops.default_backend("numpy"):
        model = fit_pipeline(series, config, epochs=10)
    pipeline = model.pipeline
    pipeline.tail = Tail(pipeline.tail.floor, half_life_rows=200, freeze_rows=40)
    pipeline.motor = MotorNeuron(on=2.2, off=1.4, time_constant_rows=3.0, refractory_rows=10)
    model.report["calibration"] = asdict(Calibration(1.0, 1.5, 0.3, 0.02, float(INTERVAL)))
    return model


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three channels, three known keys."""
    path = tmp_path_factory.mktemp("bundles") / "small"
    fit(KNOWN, CHANNELS).save(path)
    return path


@pytest.fixture(scope="session")
def model(bundle: Path) -> FleetModel:
    """The small bundle; not to be configured."""
    return FleetModel.load(bundle, backend="numpy")


@pytest.fixture
def touchy(bundle: Path) -> FleetModel:
    """The same, firing at every little thing; a test's own."""
    model = FleetModel.load(bundle, backend="numpy")
    model.pipeline.motor = MotorNeuron(on=1.3, off=1.0, time_constant_rows=3.0, refractory_rows=7)
    return model


@dataclass(frozen=True)
class Sent:
    """One message: its samples, or why the codec refuses it. `gap` offsets before it are absent."""

    samples: tuple[tuple[bytes, int, tuple[float, ...]], ...] = ()
    reason: Reason | None = None
    gap: int = 0
    timestamp_ms: int = 2**43


def sent(key: bytes, time_us: int, values: Sequence[float], **more) -> Sent:
    """A message with one sample."""
    return Sent(((key, int(time_us), tuple(map(float, values))),), **more)


def rows_of(key: bytes, values: np.ndarray, start: int = START) -> list[Sent]:
    """One message per row, at the usual interval."""
    return [sent(key, start + i * INTERVAL * SECOND, row) for i, row in enumerate(values)]


def interleaved(*feeds: Sequence[Sent]) -> list[Sent]:
    """All feeds by time of their first sample; ties in the order given."""
    return sorted((m for feed in feeds for m in feed), key=lambda m: m.samples[0][1])


def offsets_of(feed: Sequence[Sent], first: int = 17) -> np.ndarray:
    """Offset of every message."""
    return first + np.arange(len(feed)) + np.cumsum([m.gap for m in feed], dtype=np.int64)


def decoded(messages: Sequence[Sent], width: int, order: str = "C") -> Decoded:
    """What a codec would give; `order` is the memory layout of the columns."""
    samples = [(i, s) for i, m in enumerate(messages) if m.reason is None for s in m.samples]
    values = np.array([s[2] for _, s in samples], dtype=np.float64).reshape(-1, width)
    times = np.array([s[1] for _, s in samples], dtype=np.int64)
    if order == "F":
        values = np.asfortranarray(values)
    elif order == "strided":
        values = np.repeat(np.repeat(values, 2, axis=0), 3, axis=1)[::2, ::3]
        times = np.repeat(times, 5)[::5]
    return Decoded(
        keys=[s[0] for _, s in samples],
        time_us=times,
        values=values,
        message=np.array([i for i, _ in samples], dtype=np.int32),
        rejected=[Rejected(i, m.reason, "") for i, m in enumerate(messages) if m.reason],
    )


def cuts_of(size: int, n: int) -> list[int]:
    """Where batches of one size end."""
    return [*range(size, n, size), n]


@dataclass
class Run:
    """What an engine made of a feed."""

    engine: Engine
    scores: dict[bytes, list[tuple]] = field(default_factory=lambda: defaultdict(list))
    events: list[Event] = field(default_factory=list)
    steps: list[StepResult] = field(default_factory=list)

    def rows(self) -> dict[bytes, bytes | None]:
        return {key: self.engine.row(TP, key) for key in self.engine._parts[TP].index}

    def counts(self) -> dict[str, int]:
        return dict(self.engine.meta(TP).counts)

    def triggers(self, key: bytes | None = None, name: str = "EmberFiring") -> list[dict]:
        """Bodies of the triggers of a key, in order."""
        return [
            body
            for e in self.events
            if e.kind == "trigger" and key in (None, e.key)
            if (body := body_of(e))["labels"]["alertname"] == name
        ]


def mark_dirty(engine: Engine, tp: tuple[str, int], keys: Iterable[bytes]) -> None:
    """Mark rows as changed, as a step would."""
    index = engine._parts[tp].index
    engine._store.slab.dirty[[index[key] for key in keys]] = True


def body_of(event: Event) -> dict:
    """The event as its reader sees it."""
    return msgspec.json.decode(event.body)


def feed_into(
    run: Run,
    feed: Sequence[Sent],
    cuts: Iterable[int] | None = None,
    *,
    begin: int = 0,
    order: str = "C",
    first_offset: int = 17,
) -> Run:
    """Step an engine through a feed from message `begin`, one batch per cut."""
    engine, offsets = run.engine, offsets_of(feed, first_offset)
    engine.attach(TP)
    for end in cuts if cuts is not None else [len(feed)]:
        if end <= begin:
            continue
        part = feed[begin:end]
        batch = decoded(part, len(engine.channels), order)
        stamps = np.array([m.timestamp_ms for m in part], dtype=np.int64)
        result = engine.step(TP, batch, SliceOffsets(offsets[begin:end], stamps))
        begin = end
        run.steps.append(result)
        run.events += result.events
        s = result.scores
        for row in zip(
            s.keys(batch.keys),
            s.time_us.tolist(),
            s.score.tolist(),
            s.probability.tolist(),
            s.severity.tolist(),
            s.anomaly.tolist(),
            s.trigger.tolist(),
            strict=True,
        ):
            run.scores[row[0]].append(row[1:])
    return run


def run(
    model: FleetModel,
    feed: Sequence[Sent],
    cuts: Iterable[int] | None = None,
    *,
    window: WindowSpec | None = None,
    limits: Limits | None = None,
    order: str = "C",
) -> Run:
    """A fresh engine over a whole feed."""
    limits = limits or Limits(max_keys=64)
    return feed_into(Run(Engine(model, window, limits)), feed, cuts, order=order)


def same(a: Run, b: Run) -> None:
    """Everything equal, bit for bit: scores, events, rows, meta row."""
    assert a.scores == b.scores
    assert a.events == b.events
    assert a.rows() == b.rows()
    assert a.engine.meta(TP) == b.engine.meta(TP)


def eventful(seed: int = 0, rows: int = 131) -> Iterator[Sent]:
    """Known and new keys with faults, gaps, silences, late rows, repeats and refusals, by time."""
    rng = np.random.default_rng(seed)
    feeds = []
    for number, key in enumerate((*KNOWN, b"new", b"also new")):
        n = rows if number < 3 else rows - 34
        values = signal(n, len(CHANNELS), number)
        if number < 3:
            values[70 : 70 + (4 if key == b"a" else 9)] += 20.0 if key == b"a" else 60.0
        values, times = with_gaps(values, rng), times_of(n, rng)
        keep = np.ones(n, dtype=bool)
        if key == b"b":
            keep[90:112] = False  # silent, and back
        if key == b"c":
            keep[76:] = False  # falls silent while it fires
        feeds.append([sent(key, t, v) for t, v in zip(times[keep], values[keep], strict=True)])
    for message in interleaved(*feeds):
        luck = rng.random()
        key, time_us, values = message.samples[0]
        if luck < 0.03:
            yield Sent(reason=Reason.NOT_JSON)
        elif luck < 0.06:
            yield sent(key, time_us - 40 * SECOND, values)
        elif luck < 0.08:
            yield sent(key, time_us + 3_601 * SECOND, values, timestamp_ms=time_us // 1000)
        elif luck < 0.10:
            yield Sent(
                (*message.samples, (key, time_us + SECOND, values), (b"side", time_us, values))
            )
            continue
        yield Sent(message.samples, gap=int(rng.integers(1, 4)) if luck > 0.96 else 0)


@pytest.fixture(scope="session")
def feed() -> list[Sent]:
    """The eventful feed."""
    return list(eventful())


@pytest.fixture(params=["dictionary", "file"])
def spill(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Spill]:
    """Where rows go."""
    return DictSpill if request.param == "dictionary" else SpillFiles(tmp_path / "spill", 2**40)


def save_two_models(folder: Path) -> list[Path]:
    """Save two models of the same channels; returns their bundles."""
    for name, hidden in (("one", 8), ("two", 13)):
        fit(KNOWN, CHANNELS, rows=211, hidden=hidden).save(folder / name)
    return [folder / "one", folder / "two"]
