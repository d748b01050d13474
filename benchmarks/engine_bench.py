"""The engine alone, fed with batches of a fleet whose windows are full."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.fleet import INTERVAL_US, Block, Fleet
from benchmarks.frame import log_progress
from benchmarks.stages import Stages
from ember_core.pipeline import FleetModel
from ember_core.pipeline.compiled.warm import warm_up
from stream.codecs import load_compiled_reader, make_codec
from stream.engine import DetailedScores, Engine, Limits, SliceOffsets
from stream.records import Decoded

TOPIC: Final = "telemetry"
TP: Final = (TOPIC, 0)
START_US: Final = 1_700_000_000_000_000
_WARM_ROUNDS: Final = 140  # until windows are full, and past the rows in which nothing may alarm


class Wire(NamedTuple):
    """A message as a consumer hands it over."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    offset: int
    headers: tuple[tuple[str, bytes], ...] = ()


def use_stages(model: FleetModel, *, plain: bool) -> str:
    """Let a model run its compiled stages, unless the plain ones are wanted; gives their name."""
    if not plain:
        log_progress("compiling, or loading the machine code")
        warm_up(copy.deepcopy(model.pipeline))
        model.pipeline.use_compiled()
    return "compiled" if model.pipeline.is_compiled else "plain"


class Bench:
    """An engine and its next offset.

    Args:
        model: The model.
        fleet: Its keys.
        partitions: Partitions that the keys are spread over.
        one_by_one: A step for each partition of a batch, in place of one for all.
        limits: Bounds of the records; the engine's own without them.

    Attributes:
        details: Detailed scores of the last step.
        events: Events since the warm-up.
        now_us: Event time after the warm-up.
    """

    def __init__(
        self,
        model: FleetModel,
        fleet: Fleet,
        partitions: int = 1,
        *,
        one_by_one: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.engine = Engine(model, None, limits)
        self.details: list[DetailedScores] = []
        for partition in range(partitions):
            self.engine.attach((TOPIC, partition))
        self._partitions, self._one_by_one = partitions, one_by_one
        self.fleet = fleet
        self.events = 0
        self.now_us = START_US
        self._offset = 0

    def step(self, key: NDArray[np.int64], time_us: NDArray[np.int64], values: Any) -> float:
        """One batch; gives its seconds."""
        if self._partitions == 1:
            return self._step([(0, len(key))], key, time_us, values)
        partition = key % self._partitions
        order = np.argsort(partition, kind="stable")
        key, time_us, values = key[order], time_us[order], values[order]
        numbers, sizes = (column.tolist() for column in np.unique(partition, return_counts=True))
        counts = list(zip(numbers, sizes, strict=True))
        if not self._one_by_one:
            return self._step(counts, key, time_us, values)
        elapsed, begin = 0.0, 0
        for number, size in counts:
            rows = slice(begin, begin + size)
            elapsed += self._step([(number, size)], key[rows], time_us[rows], values[rows])
            begin += size
        return elapsed

    def _step(
        self,
        counts: list[tuple[int, int]],
        key: NDArray[np.int64],
        time_us: NDArray[np.int64],
        values: Any,
    ) -> float:
        n = len(key)
        names = self.fleet.keys
        message = np.arange(n, dtype=np.int32)
        batch = Decoded([names[k] for k in key.tolist()], time_us, values, message, [])
        offsets = np.arange(self._offset, self._offset + n, dtype=np.int64)
        slice_offsets = SliceOffsets(offsets, time_us // 1000)
        slices = [((TOPIC, partition), count) for partition, count in counts]
        self._offset += n
        started = time.perf_counter()
        result = self.engine.step_all(slices, batch, slice_offsets)
        elapsed = time.perf_counter() - started
        self.events += len(result.events)
        self.details = result.details
        return elapsed

    def warm(self, rounds: int = _WARM_ROUNDS) -> Iterator[Block]:
        """Some records of every key, in order; gives the rounds that follow on them."""
        blocks = self.fleet.rounds(10**9, START_US)
        for block in itertools.islice(blocks, rounds):
            for part in batches(block, 4096):
                self.step(*part)
        self.events = 0
        self.now_us = START_US + rounds * INTERVAL_US
        return blocks

    def run(self, blocks: Iterator[Block], size: int, seconds: float) -> list[float]:
        """Microseconds per record of every full batch, until the time is up."""
        durations: list[float] = []
        deadline = time.perf_counter() + seconds
        for block in blocks:
            for part in batches(block, size):
                if len(part.key) == size:
                    durations.append(1e6 * self.step(*part) / size)  # until the deadline
                if time.perf_counter() > deadline:
                    return durations
        return durations

    def watched(self) -> Stages:
        """Timers on the parts of the engine from now on."""
        stages = Stages()
        stepper = self.engine._stepper
        store, decider, episodes = stepper._store, stepper._decider, stepper._episodes
        pipeline = decider.pipeline
        for owner, method, stage in (
            (self.engine, "step_all", "rest of the step"),
            (store, "slots", "slots"),
            (store, "gather", "gather"),
            (store, "scatter", "scatter"),
            (stepper._idle, "find", "silences"),
            (pipeline, "observe", "observe: rest"),
            (pipeline.normaliser, "forward", "observe: normalise"),
            (pipeline.windows, "forward", "observe: features"),
            (pipeline.scaler, "forward", "observe: features"),
            (pipeline.clock, "forward", "observe: features"),
            (pipeline.liquid, "forward", "observe: liquid"),
            (pipeline, "score", "RBM"),
            (decider, "decide", "decide"),
            (episodes.events, "explain", "events"),
            (episodes, "emit", "events"),
        ):
            stages.watch(owner, method, stage)
        return stages


def batches(block: Block, size: int) -> Iterator[Block]:
    """A block in parts of some size, in order."""
    for begin in range(0, len(block.key), size):
        part = slice(begin, begin + size)
        yield Block(block.key[part], block.time_us[part], block.values[part])


def decode_us(fleet: Fleet, size: int, seconds: float) -> list[float]:
    """Microseconds per record of the JSON codec, per batch."""
    block = next(fleet.rounds(1, START_US, seed=5))
    wires = [Wire(key, value, 0, i) for i, (key, value) in enumerate(fleet.encoded(block))]
    load_compiled_reader()
    codec = make_codec("json", fleet.channels)
    codec.decode(wires[:1])  # it learns the shape of the messages
    durations = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        for begin in range(0, len(wires) - size + 1, size):
            part = wires[begin : begin + size]
            started = time.perf_counter()
            codec.decode(part)
            durations.append(1e6 * (time.perf_counter() - started) / size)
    return durations
