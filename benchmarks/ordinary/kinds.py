"""Kinds of faults, sized as people who run such things would size them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from .signals import Rng
from .site import HOUR, MINUTE, Site, job_channels, lively, steady

Change = Callable[[Site, Rng], tuple[str, ...]]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        seconds: Shortest and longest time it lasts.
        change: Puts it in; returns the channels at fault, the one that shows most first.
        needs: Channels without which there is no such fault; empty: any.
        at_job: It replaces a run of the nightly job.
        long: It lasts so long that a second fault may come meanwhile.
    """

    seconds: tuple[float, float]
    change: Change
    needs: tuple[str, ...] = ()
    at_job: bool = False
    long: bool = False


_CPU, _MEMORY, _DISK, _RX = "cpu_percent", "memory_percent", "disk_used_percent", "rx_mbit"
_REQUESTS, _LATENCY, _ERRORS, _QUEUE = "requests", "latency_ms", "errors", "queue_length"


def _busy_loop(site: Site, rng: Rng) -> tuple[str, ...]:
    cpu = site.part(_CPU)
    cpu[:] = np.minimum(cpu + 40.0 + rng.normal(0, 1.5, len(cpu)), 100.0)
    return (_CPU,)


def _memory_leak(site: Site, rng: Rng) -> tuple[str, ...]:
    memory = site.part(_MEMORY)
    memory[:] = np.minimum(memory + 2.0 * site.hours, 99.5)
    return (_MEMORY,)


def _disk_fills(site: Site, rng: Rng) -> tuple[str, ...]:
    disk = site.part(_DISK)
    disk[:] = np.minimum(disk + (100.0 - disk[0]) * site.x, 100.0)
    return (_DISK,)


def _error_burst(site: Site, rng: Rng) -> tuple[str, ...]:
    errors = site.part(_ERRORS)
    usual = float(site.normal.values[:, site.names.index(_ERRORS)].mean())
    errors += rng.poisson(9.0 * max(usual, 0.4 * site.clock.step / MINUTE), len(errors))
    return (_ERRORS,)


def _latency_doubles(site: Site, rng: Rng) -> tuple[str, ...]:
    site.part(_LATENCY)[:] *= 2.0
    return (_LATENCY,)


def _latency_drifts(site: Site, rng: Rng) -> tuple[str, ...]:
    site.part(_LATENCY)[:] *= 1.0 + 1.2 * site.x
    return (_LATENCY,)


def _traffic_lost(site: Site, rng: Rng) -> tuple[str, ...]:
    for name, factor in ((_REQUESTS, 0.1), (_RX, 0.1)):
        site.part(name)[:] *= factor
    cpu, idle = site.part(_CPU), float(site.normal.idle[site.names.index(_CPU)])
    cpu[:] = idle + 0.15 * np.maximum(cpu - idle, 0.0)
    return (_REQUESTS, _RX, _CPU)


def _job_missing(site: Site, rng: Rng) -> tuple[str, ...]:
    rows = slice(site.first, site.last + 1)
    site.normal.values[rows] -= site.normal.job[rows]
    np.maximum(site.normal.values[rows], 0.0, out=site.normal.values[rows])
    return job_channels(site, site.first, site.last)


def _job_at_wrong_time(site: Site, rng: Rng) -> tuple[str, ...]:
    first, last = site.normal.job_rows[int(rng.integers(len(site.normal.job_rows)))]
    added = site.normal.job[first : last + 1][: site.last - site.first + 1]
    rows = slice(site.first, site.first + len(added))
    site.normal.values[rows] += added
    for i, name in enumerate(site.names):
        if name.endswith("_percent"):
            np.minimum(site.normal.values[rows, i], 100.0, out=site.normal.values[rows, i])
    return job_channels(site, first, last)


def _stuck(site: Site, rng: Rng) -> tuple[str, ...]:
    name = lively(site, rng)
    part = site.part(name)
    part[:] = part[0]
    return (name,)


def _flapping(site: Site, rng: Rng) -> tuple[str, ...]:
    name = lively(site, rng, without=(_MEMORY, _DISK))
    part, rows = site.part(name), max(2, site.clock.rows(4 * MINUTE))
    is_high = (np.arange(len(part)) // rows) % 2
    part[:] = np.maximum(part * np.where(is_high, 1.6, 0.5), 0.0)
    if name.endswith("_percent"):
        np.minimum(part, 100.0, out=part)
    return (name,)


def _noise_grows(site: Site, rng: Rng) -> tuple[str, ...]:
    name = lively(site, rng)
    part = site.part(name)
    rows = max(3, min(15, len(part)))
    smooth = np.convolve(np.pad(part, rows // 2, mode="edge"), np.ones(rows) / rows, "same")
    smooth = smooth[rows // 2 : rows // 2 + len(part)]
    part[:] = np.maximum(smooth + 4.0 * (part - smooth), 0.0)
    if name.endswith("_percent"):
        np.minimum(part, 100.0, out=part)
    return (name,)


def _queue_grows(site: Site, rng: Rng) -> tuple[str, ...]:
    queue = site.part(_QUEUE)
    usual = float(np.mean(site.normal.values[:, site.names.index(_QUEUE)]))
    queue += np.round((6.0 + 4.0 * usual) * site.hours + rng.poisson(1.0, len(queue)))
    return (_QUEUE,)


def _connection_leak(site: Site, rng: Rng) -> tuple[str, ...]:
    site.part("connections")[:] += np.round(40.0 * site.hours)
    site.part("open_files")[:] += np.round(80.0 * site.hours)
    return ("connections", "open_files")


def _counter_stops(site: Site, rng: Rng) -> tuple[str, ...]:
    for name in ("eth0_rx_bytes", "energy_wh", _RX):
        if name in site.names:
            site.part(name)[:] = 0.0
            return (name,)
    raise AssertionError(site.names)


def _correlation_broken(site: Site, rng: Rng) -> tuple[str, ...]:
    """Traffic goes on, and the processor does nothing for it."""
    cpu, idle = site.part(_CPU), float(site.normal.idle[site.names.index(_CPU)])
    cpu[:] = np.minimum(cpu, idle * np.exp(rng.normal(0, 0.06, len(cpu))))
    return (_CPU,)


def _level_shift(site: Site, rng: Rng) -> tuple[str, ...]:
    name = steady(site, rng)
    part, sign = site.part(name), 1.0 if rng.random() < 0.75 else -1.0
    if name == _MEMORY:
        part[:] = np.clip(part + 15.0 * sign, 1.0, 99.5)
    else:
        part[:] *= 1.6 if sign > 0 else 0.55
        if name.endswith("_percent"):
            np.minimum(part, 100.0, out=part)
    return (name,)


def _slow_drift(site: Site, rng: Rng) -> tuple[str, ...]:
    name = steady(site, rng)
    part = site.part(name)
    if name == _MEMORY:
        part[:] = np.minimum(part + 18.0 * site.x, 99.5)
    else:
        part[:] *= 1.0 + 0.8 * site.x
        if name.endswith("_percent"):
            np.minimum(part, 100.0, out=part)
    return (name,)


def _silent(site: Site, rng: Rng) -> tuple[str, ...]:
    name = lively(site, rng)
    site.part(name)[:] = np.nan
    return (name,)


def _spike(site: Site, rng: Rng) -> tuple[str, ...]:
    name = steady(site, rng, without=(_MEMORY, _DISK))
    part = site.part(name)
    part[:] *= 3.5
    if name.endswith("_percent"):
        part[:] = np.minimum(part + 50.0, 100.0)
    return (name,)


def _vibration(site: Site, rng: Rng) -> tuple[str, ...]:
    site.part("vibration_mm_s")[:] *= 1.0 + 0.9 * site.x
    site.part("bearing_c")[:] += 9.0 * site.x
    return ("vibration_mm_s", "bearing_c")


def _leak(site: Site, rng: Rng) -> tuple[str, ...]:
    site.part("pressure_bar")[:] *= 0.8
    site.part("flow_m3h")[:] *= 1.15
    return ("pressure_bar", "flow_m3h")


def _warms(site: Site, rng: Rng) -> tuple[str, ...]:
    site.part("inside_c")[:] += 6.0 * np.minimum(1.0, site.hours)
    site.part("compressor_on")[:] = 0.0
    site.part("power_w")[:] = 12.0
    site.part("energy_wh")[:] = 12.0 * site.clock.step / HOUR
    return ("inside_c", "power_w", "compressor_on", "energy_wh")


def _door_left_open(site: Site, rng: Rng) -> tuple[str, ...]:
    site.part("door_open")[:] = 1.0
    site.part("inside_c")[:] += 3.0 * np.minimum(1.0, 2.0 * site.hours)
    return ("door_open", "inside_c")


KINDS: Final[dict[str, Kind]] = {
    "busy_loop": Kind((HOUR, HOUR), _busy_loop, (_CPU,)),
    "memory_leak": Kind((6 * HOUR, 10 * HOUR), _memory_leak, (_MEMORY,), long=True),
    "disk_fills": Kind((8 * HOUR, 12 * HOUR), _disk_fills, (_DISK,), long=True),
    "error_burst": Kind((20 * MINUTE, 20 * MINUTE), _error_burst, (_ERRORS,)),
    "latency_doubles": Kind((30 * MINUTE, 90 * MINUTE), _latency_doubles, (_LATENCY,)),
    "latency_drifts": Kind((6 * HOUR, 10 * HOUR), _latency_drifts, (_LATENCY,), long=True),
    "traffic_lost": Kind((20 * MINUTE, 60 * MINUTE), _traffic_lost, (_REQUESTS, _RX, _CPU)),
    "night_job_missing": Kind((0, 0), _job_missing, at_job=True),
    "night_job_at_wrong_time": Kind((40 * MINUTE, 50 * MINUTE), _job_at_wrong_time),
    "stuck_sensor": Kind((2 * HOUR, 4 * HOUR), _stuck),
    "flapping": Kind((HOUR, 2 * HOUR), _flapping),
    "noise_grows": Kind((2 * HOUR, 4 * HOUR), _noise_grows),
    "queue_grows": Kind((2 * HOUR, 4 * HOUR), _queue_grows, (_QUEUE,)),
    "connection_leak": Kind((6 * HOUR, 10 * HOUR), _connection_leak, ("connections",), long=True),
    "counter_stops": Kind((HOUR, 2 * HOUR), _counter_stops),
    "correlation_broken": Kind((HOUR, 2 * HOUR), _correlation_broken, (_CPU, _REQUESTS)),
    "level_shift": Kind((12 * HOUR, 24 * HOUR), _level_shift, long=True),
    "slow_drift": Kind((18 * HOUR, 24 * HOUR), _slow_drift, long=True),
    "channel_silent": Kind((HOUR, 3 * HOUR), _silent),
    "spike": Kind((2 * MINUTE, 5 * MINUTE), _spike),
    "vibration_grows": Kind((6 * HOUR, 12 * HOUR), _vibration, ("vibration_mm_s",), long=True),
    "leak": Kind((2 * HOUR, 6 * HOUR), _leak, ("pressure_bar",)),
    "compressor_fails": Kind((3 * HOUR, 5 * HOUR), _warms, ("inside_c",)),
    "door_left_open": Kind((45 * MINUTE, 90 * MINUTE), _door_left_open, ("door_open",)),
}

HIDDEN: Final = ("busy_loop", "error_burst", "latency_doubles", "queue_grows", "leak",
                 "door_left_open", "spike")  # fmt: skip
"""Kinds that come as the second fault, hours into a long first one."""
