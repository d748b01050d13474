"""The fleets that are measured, by name and seed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.paging.clock import Clock, made
from benchmarks.paging.fleet import Fleet, Floats, KeySeries

from .hosts import CHANNELS, ROLES, host
from .life import Life, life_of
from .machines import FRIDGE_CHANNELS, METER_CHANNELS, PUMP_CHANNELS, fridge, meter, pump
from .normal import Normal
from .placing import Plot, arrived
from .signals import Rng
from .wide import WIDE_CHANNELS, WIDE_COUNTERS, wide_host

TUNING_SEEDS: Final = (11, 21)
"""Seeds that settings may be chosen on."""
FINAL_SEEDS: Final = (101, 102, 103)
"""Seeds that are looked at once, when nothing is changed any more."""

_HOSTS: Final = ("web", "web", "database", "queue", "batch", "gateway")


@dataclass(frozen=True)
class Variant:
    """Shape of a fleet.

    Attributes:
        families: Family of each key, over and over.
        keys: Number of keys; 0: 1 to 3, by the seed.
        step: Seconds between records.
        days: Days of the training part and of the scored one.
        faults: Number of faults; with 0 keys, of each key.
        hidden: Those of them that begin inside another one.
        alike: Hosts of a role share their day shapes.
        new: Number of keys with a short history, and its hours.
        duration_factor: Factor of how long faults last.
        wide: Forty channels.
    """

    families: tuple[str, ...]
    keys: int
    step: float = 60.0
    days: tuple[float, float] = (14.0, 14.0)
    faults: int = 48
    hidden: int = 6
    alike: bool = True
    new: tuple[int, float] = (0, 0.0)
    duration_factor: float = 1.0
    wide: bool = False


_FIVE: Final = Variant(_HOSTS, 60, 300.0, faults=240, hidden=24)
_MIXED: Final = replace(_FIVE, families=tuple(ROLES), keys=40, faults=160, hidden=16, alike=False)

VARIANTS: Final[dict[str, Variant]] = {
    "minute": Variant(_HOSTS, 12),
    "five_minutes": _FIVE,
    "single": Variant(_HOSTS, 0, faults=5, hidden=1),
    "wide": Variant(_HOSTS, 6, faults=30, hidden=4, wide=True),
    "mixed": _MIXED,
    "new_keys_6h": replace(_FIVE, new=(10, 6.0)),
    "new_keys": replace(_FIVE, new=(10, 24.0)),
    "new_keys_3d": replace(_FIVE, new=(10, 72.0)),
    "new_keys_unlike": replace(_MIXED, new=(10, 24.0)),
    "month": replace(_FIVE, keys=20, days=(14.0, 30.0), faults=100, hidden=10),
    "second": Variant(
        ("pump", "turbine"), 3, 1.0, (2.0, 1.0), faults=12, hidden=2, duration_factor=0.1
    ),
    "pumps": Variant(("pump", "turbine"), 12),
    "fridges": Variant(("fridge",), 40, 300.0, faults=120, hidden=12),
    "meters": Variant(("meter",), 60, 300.0, faults=180, hidden=0),
    "many": Variant(("meter",), 5000, 1800.0, faults=2000, hidden=0),
}


def make(variant: str, seed: int) -> Fleet:
    """Generate a fleet; the same name and seed give the same records.

    Args:
        variant: A name of `VARIANTS`.
        seed: Any number; see `TUNING_SEEDS` and `FINAL_SEEDS`.
    """
    shape = VARIANTS[variant]
    # New keys shorten a history: the fleet around them is that of the variant without.
    base = next(n for n, v in VARIANTS.items() if replace(v, new=shape.new) == shape)
    root = np.random.SeedSequence([seed, zlib.crc32(base.encode())])
    count = shape.keys or 1 + seed % 3
    seeds = root.spawn(count + 2)
    common, placing = np.random.default_rng(seeds[0]), np.random.default_rng(seeds[1])
    clock = made(common, sum(shape.days), shape.step)
    life = life_of(common, clock, count)
    families = [shape.families[i % len(shape.families)] for i in range(count)]
    names, counters = _channels(shape)
    shapes: dict[str, Floats] = {}
    normals = []
    for key_index, family in enumerate(families):
        rng = np.random.default_rng(seeds[key_index + 2])
        key_shapes = shapes if shape.alike else {}
        normals.append(_normal(rng, clock, life, key_index, family, key_shapes, wide=shape.wide))
    keys = [f"{family}-{key_index:02d}" for key_index, family in enumerate(families)]
    begin = int(shape.days[0] * 86_400 / shape.step)
    plot = Plot(clock, names, keys, normals, begin, shape.duration_factor)
    faults, hidden = (shape.faults, shape.hidden)
    if not shape.keys:
        faults, hidden = count * faults, count * hidden
    plot.put(placing, faults, hidden)
    series = []
    for key, normal, family, events in zip(keys, normals, families, plot.faults, strict=True):
        rows, values, key_faults = arrived(normal, events, names, counters)
        train = rows < begin
        series.append(KeySeries(key, clock.times_us[rows], values, train, key_faults, family))
    if shape.new[0]:
        new = placing.permutation(count)[: shape.new[0]]
        for key_index in new.tolist():
            series[key_index] = _shortened(series[key_index], shape.new[1])
    return Fleet(
        name=variant,
        seed=seed,
        step_seconds=shape.step,
        channels=names,
        keys=tuple(series),
        zone=clock.zone,
        holidays=clock.holidays,
        new_keys=tuple(sorted(keys[i] for i in new.tolist())) if shape.new[0] else (),
    )


def _channels(shape: Variant) -> tuple[tuple[str, ...], Sequence[str]]:
    """Names of a variant's channels, and of the counters among them."""
    if shape.wide:
        return WIDE_CHANNELS, WIDE_COUNTERS
    if "fridge" in shape.families:
        return FRIDGE_CHANNELS, ("energy_wh",)
    if "meter" in shape.families:
        return METER_CHANNELS, ()
    return (PUMP_CHANNELS if "pump" in shape.families else CHANNELS), ()


def _normal(
    rng: Rng,
    clock: Clock,
    life: Life,
    key_index: int,
    family: str,
    shapes: dict[str, Floats],
    *,
    wide: bool,
) -> Normal:
    """The ordinary telemetry of one key."""
    if family in ROLES:
        return (wide_host if wide else host)(rng, clock, life, key_index, family, shapes)
    if family in ("pump", "turbine"):
        return pump(rng, clock, life, turbine=family == "turbine")
    return (fridge if family == "fridge" else meter)(rng, clock, life)


def _shortened(series: KeySeries, hours: float) -> KeySeries:
    """The same key with so many hours of training only."""
    first_scored = int(series.train.sum())
    begin_us = series.times_us[first_scored] - round(hours * 3.6e9)
    cut = int(np.searchsorted(series.times_us, begin_us))
    events = tuple(
        replace(fault, first=fault.first - cut, last=fault.last - cut) for fault in series.events
    )
    return replace(
        series,
        times_us=series.times_us[cut:],
        values=series.values[cut:],
        train=series.train[cut:],
        events=events,
    )
