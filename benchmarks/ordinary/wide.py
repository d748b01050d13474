"""A host with forty channels: cores, disks, interfaces, sensors, counters and flags."""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.paging.clock import Clock
from benchmarks.paging.fleet import Floats

from .hosts import CHANNELS, host
from .life import Life
from .normal import Normal
from .signals import Rng, heavy, noise, walk

_CORES = tuple(f"core{i}_percent" for i in range(8))
_DISKS = tuple(
    f"{disk}_{figure}" for disk in ("sda", "sdb") for figure in ("read_kb", "write_kb", "busy")
)
_NETS = ("eth0_rx_bytes", "eth0_tx_bytes", "eth0_drops", "eth1_rx_bytes", "eth1_tx_bytes")
_COUNTS = ("load1", "load5", "processes", "threads", "open_files", "connections", "swap_percent")
_SENSORS = ("board_c", "fan_rpm", "clock_offset_ms", "uptime_s", "raid_ok", "ntp_synced")
WIDE_CHANNELS: Final = (*CHANNELS, *_CORES, *_DISKS, *_NETS, *_COUNTS, *_SENSORS)
WIDE_COUNTERS: Final = ("eth0_rx_bytes", "eth0_tx_bytes", "eth0_drops", "eth1_rx_bytes",
                        "eth1_tx_bytes", "uptime_s")  # fmt: skip


def wide_host(
    rng: Rng, clock: Clock, life: Life, place: int, role: str, shapes: dict[str, Floats]
) -> Normal:
    """Simulate a host, as an agent with every plug-in on reports it."""
    narrow, n = host(rng, clock, life, place, role, shapes), len(clock.times_us)
    cpu, requests, rx = (narrow.values[:, i] for i in (0, 4, 3))
    part = requests / max(float(np.quantile(requests, 0.99)), 1e-9)
    columns: list[Floats] = []
    for _ in _CORES:
        share = float(rng.uniform(0.7, 1.3))
        columns.append(np.clip(share * cpu * np.exp(noise(rng, clock, 0.15, (1, 600))), 0, 100))
    for _ in ("sda", "sdb"):
        read = 400 * (0.2 + part) * np.exp(np.abs(heavy(rng, n, 0.5)))
        write = 900 * (0.3 + part) * np.exp(noise(rng, clock, 0.3, (1, 300)))
        columns += [read, write, np.clip((read + write) / 90, 0, 100)]
    seconds = clock.step
    columns += [
        1.25e5 * rx * seconds,
        1.25e5 * rx * seconds * float(rng.uniform(0.3, 3)) * np.exp(noise(rng, clock, 0.05)),
        rng.poisson(2e-3 * seconds * (0.1 + part)).astype(float),
        2e4 * seconds * np.exp(noise(rng, clock, 0.4)),
        2e4 * seconds * np.exp(noise(rng, clock, 0.4)),
    ]
    load = cpu / 12 * np.exp(noise(rng, clock, 0.12, (1, 120)))
    columns += [load, _mean(load, clock.rows(300))]
    columns.append(np.round(180 + 30 * part + walk(rng, clock, 6) + rng.poisson(2, n)))
    columns.append(np.round(600 + 250 * part + 4 * rng.standard_normal(n)))
    columns.append(np.round(2000 + 1500 * part + 40 * rng.standard_normal(n)))
    columns.append(rng.poisson(20 + 300 * np.maximum(part, 0)).astype(float))
    columns.append(np.clip(4 + walk(rng, clock, 1.0), 0, 100))
    columns.append(38 + 0.25 * _mean(cpu, clock.rows(600)) + walk(rng, clock, 0.5))
    columns.append(np.round(np.where(cpu > 55, 4200, 3000) + 25 * rng.standard_normal(n), -1))
    columns.append(walk(rng, clock, 2.0) + 0.3 * rng.standard_normal(n))
    columns.append(np.full(n, seconds))
    columns.append(np.ones(n))
    columns.append((rng.random(n) > 2e-4).astype(float))
    extra = np.round(np.stack(columns, axis=1), 3)
    values = np.concatenate([narrow.values, extra], axis=1)
    job = np.zeros_like(values)
    job[:, :8] = narrow.job
    job[:, 8:16] = narrow.job[:, :1]
    job[:, len(CHANNELS) + 19] = narrow.job[:, 0] / 12  # load1
    idle = np.concatenate([narrow.idle, np.zeros(extra.shape[1])])
    return Normal(role, values, idle, job, narrow.job_rows, narrow.missing_rows, narrow.restarts)


def _mean(signal: Floats, rows: int) -> Floats:
    total = np.cumsum(np.concatenate([np.full(rows, signal[0]), signal]))
    out: Floats = (total[rows:] - total[:-rows]) / rows
    return out
