"""Cost of the same rows in a wide format and in the long ones of monitoring programs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from benchmarks.engine_bench import START_US, TP, Wire
from benchmarks.fleet import INTERVAL_US, Fleet
from benchmarks.frame import log_progress
from benchmarks.wire_formats import FORMATS, Format
from ember_core.pipeline import FleetModel
from stream.codecs import load_compiled_reader, make_codec
from stream.engine import Engine, SliceOffsets, WindowSpec

_BATCH: Final = 4096
_WIDE: Final = "json"


def measure(model: FleetModel, fleet: Fleet, seconds: float) -> dict[str, Any]:
    """Decode and score the same rows in each format.

    Args:
        model: The model.
        fleet: Keys and their rows.
        seconds: Time for each format.

    Returns:
        By format, messages and samples (values of a channel) a second, and rows scored; and the
        ratios of the samples to those of JSON with a row in a message.
    """
    load_compiled_reader()  # as a worker has it after its first tenth of a second
    figures = {}
    for name, wire_format in FORMATS.items():
        log_progress(name)
        figures[name] = _one(model, fleet, wire_format, seconds)
    wide = figures[_WIDE]["samples_per_second"]
    ratios = {
        name: round(figure["samples_per_second"] / wide, 3)
        for name, figure in figures.items()
        if name != _WIDE
    }
    return {"formats": figures, "samples_to_json": ratios}


def _one(model: FleetModel, fleet: Fleet, wire_format: Format, seconds: float) -> dict[str, Any]:
    codec = make_codec(
        wire_format.codec,
        fleet.channels,
        key=wire_format.key,
        key_from="record" if wire_format.key else "kafka",
    )
    mode = "count" if wire_format.codec == _WIDE else "time"
    window = WindowSpec(mode=mode, interval_us=INTERVAL_US, lateness_us=0)
    engine = Engine(model, window)
    engine.attach(TP)
    messages, offset = _messages(fleet, wire_format), 0
    elapsed = codec_seconds = 0.0
    samples = 0
    while elapsed < seconds:
        batch = list(itertools.islice(messages, _BATCH))
        offsets = np.arange(offset, offset + len(batch))
        slice_offsets = SliceOffsets(offsets, np.array([wire.timestamp for wire in batch]))
        started = time.perf_counter()
        decoded = codec.decode(batch)
        decoded_at = time.perf_counter()
        engine.step(TP, decoded, slice_offsets)
        elapsed += time.perf_counter() - started
        codec_seconds += decoded_at - started
        offset += len(batch)
        samples += int((decoded.values == decoded.values).sum())  # NaN is not itself
    counts = engine.meta(TP).counts
    return {
        "messages_per_second": round(offset / elapsed),
        "samples_per_second": round(samples / elapsed),
        "codec_share": round(codec_seconds / elapsed, 3),
        "scored": counts.get("scored", 0) + counts.get("warming", 0),
    }


def _messages(fleet: Fleet, wire_format: Format) -> Iterator[Wire]:
    """Yield the fleet's rows as messages, an interval of all keys after the other."""
    for block in fleet.rounds(10**9, START_US):
        rows = zip(block.key.tolist(), block.time_us.tolist(), block.values.tolist(), strict=True)
        for number, time_us, values in rows:
            key = fleet.keys[number]
            for value in wire_format.messages((key, time_us, fleet.channels, values)):
                yield Wire(key, value, time_us // 1000, 0)
