"""Hosts of five roles with the same eight channels, as an agent on each would report them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.paging.clock import Clock
from benchmarks.paging.fleet import Floats

from .life import Life
from .normal import Normal, arrival_losses, night_job, reboots
from .signals import Rng, bursts, by_hour, day_shape, heavy, noise, sawtooth, walk

CHANNELS: Final = (
    *("cpu_percent", "memory_percent", "disk_used_percent", "rx_mbit"),
    *("requests", "latency_ms", "errors", "queue_length"),
)

_OFFICE = (2, 2, 2, 2, 2, 3, 4, 6, 9, 11, 12, 12, 11, 11, 12, 12, 11, 10, 8, 6, 5, 4, 3, 2)
_EVENING = (5, 4, 3, 2, 2, 2, 3, 4, 5, 5, 6, 6, 7, 7, 7, 7, 8, 9, 10, 12, 13, 12, 10, 7)
_WORLD = (7, 7, 6, 6, 6, 7, 7, 8, 9, 9, 10, 10, 10, 10, 10, 11, 11, 10, 10, 9, 9, 8, 8, 7)


@dataclass(frozen=True)
class Role:
    """Traits that hosts of a role share.

    Attributes:
        shapes: Load by hour of a working day, one of which a host follows.
        weekend: Load of a Saturday or Sunday over that of a working day.
        load: Requests a second at the busiest hour, smallest and largest host.
        cpu: Points of cpu at that hour.
        latency: Usual milliseconds.
        bytes: Megabits of a request.
        errors: Share of requests that fail.
        job: Share of hosts with a nightly job, and its points of cpu.
        bursts: Bursts a day and their typical size.
    """

    shapes: tuple[tuple[int, ...], ...]
    weekend: float
    load: tuple[float, float]
    cpu: float
    latency: float
    bytes: float
    errors: float
    job: tuple[float, float]
    bursts: tuple[float, float]


ROLES: Final = {
    "web": Role((_OFFICE, _EVENING), 0.6, (15, 150), 45, 80, 0.2, 2e-3, (0.4, 18), (4, 0.35)),
    "database": Role((_OFFICE, _WORLD), 0.7, (100, 900), 35, 6, 0.02, 1e-4, (0.9, 28), (3, 0.25)),
    "queue": Role((_OFFICE, _WORLD), 0.5, (40, 400), 28, 15, 0.05, 4e-4, (0.4, 15), (8, 0.6)),
    "batch": Role((_WORLD,), 0.9, (0.3, 3), 10, 400, 2.0, 8e-3, (1.0, 55), (10, 1.2)),
    "gateway": Role((_EVENING, _WORLD), 1.1, (200, 2000), 30, 3, 0.1, 3e-4, (0.2, 8), (5, 0.4)),
}


def host(
    rng: Rng, clock: Clock, life: Life, place: int, role_name: str, shapes: dict[str, Floats]
) -> Normal:
    """Simulate the ordinary weeks of a host.

    Args:
        rng: Source of this host's draws.
        clock: The grid.
        life: Common fate of the fleet.
        place: Place of the host in the fleet.
        role_name: A name of `ROLES`.
        shapes: Day shapes that hosts of the fleet share; new ones are added.
    """
    role, n = ROLES[role_name], len(clock.times_us)
    job, down = night_job(rng, clock, role.job[0]), reboots(rng, clock)
    load = _load(rng, clock, role, role_name, shapes) * life.share
    restarts = [row for row, _ in down]
    cost, slow, extra = np.ones(n), np.ones(n), np.zeros(n)
    for deployment in life.deployments:
        if deployment.keys[place]:
            row = min(n - 1, deployment.row + int(rng.integers(0, clock.rows(900) + 1)))
            cost[row:] *= deployment.cpu
            slow[row:] *= deployment.latency
            extra[row:] += deployment.memory
            restarts.append(row)
    peak = float(np.exp(rng.uniform(*np.log(role.load))))
    requests = peak * load * np.exp(heavy(rng, n, 0.04))
    requests = rng.poisson(np.maximum(requests, 0.0) * clock.step) / clock.step
    idle = float(rng.uniform(3, 9))
    scale = role.cpu * float(rng.uniform(0.75, 1.3))
    hourly = _hourly(rng, clock)
    busy = idle + scale * cost * load**0.9 + hourly
    busy *= np.exp(noise(rng, clock, 0.07, (1, 240, 5400)))
    weight = role.job[1] * float(rng.uniform(0.6, 1.2))
    job_cpu = weight * job.activity * np.exp(heavy(rng, n, 0.05))
    cpu = busy + job_cpu
    use = np.clip(cpu / 100.0, 0.0, 0.9)
    latency = role.latency * float(np.exp(0.3 * rng.standard_normal())) * slow
    latency = (
        latency
        * (1.0 + 0.6 * use**3 / (1.0 - use))
        * np.exp(noise(rng, clock, 0.09, (1, 180, 3600)) + np.abs(heavy(rng, n, 0.05)))
    )
    errors = rng.poisson(_error_rate(rng, clock, role, requests)).astype(float)
    rho = np.clip(0.25 + 0.75 * use, 0.0, 0.9)
    queue = rng.poisson(rho / (1.0 - rho) * np.exp(heavy(rng, n, 0.25)))
    traffic = role.bytes * float(np.exp(0.4 * rng.standard_normal()))
    rx = traffic * (requests + 0.02 * peak) * np.exp(noise(rng, clock, 0.12, (1, 120)))
    job_rx = job.activity * traffic * peak * 0.5 * float(rng.uniform(0, 1))
    job_disk = job.activity * float(rng.uniform(0, 1.5))
    memory = _memory(rng, clock, load, extra, sorted(restarts))
    disk = _disk(rng, clock)
    columns = (cpu, memory, disk + job_disk, rx + job_rx, requests, latency, errors, queue)
    values = np.stack([np.asarray(column, dtype=float) for column in columns], axis=1)
    _bound(values)
    added = np.zeros_like(values)
    added[:, 0], added[:, 2], added[:, 3] = job_cpu, job_disk, job_rx
    missing_rows = arrival_losses(rng, clock) | life.missing_rows
    for row, length in down:
        missing_rows[row : row + length] = True
    idle_levels = np.array([idle, 0, 0, traffic * 0.02 * peak, 0, role.latency, 0, 0])
    return Normal(
        role_name, values, idle_levels, added, job.rows, missing_rows, [row for row, _ in down]
    )


def _bound(values: Floats) -> None:
    """Keep channels inside what they can be, and at the digits that agents send."""
    np.clip(values[:, :3], 0.0, 100.0, out=values[:, :3])
    np.maximum(values, 0.0, out=values)
    np.round(values, 3, out=values)


def _load(rng: Rng, clock: Clock, role: Role, name: str, shapes: dict[str, Floats]) -> Floats:
    """Load of a host over its busiest hour: day, week, month, bursts and wandering."""
    number = int(rng.integers(len(role.shapes)))
    common = shapes.setdefault(f"{name}-{number}", day_shape(rng, role.shapes[number]))
    shape = common * np.exp(0.05 * rng.standard_normal(24))
    shape = shape / shape.max()
    free = role.weekend * by_hour(np.roll(shape, 1) ** 0.8, clock.hour)
    load = np.where(clock.weekday >= 5, free, by_hour(shape, clock.hour))
    load *= 1.0 + 0.06 * (clock.weekday == 0) - 0.05 * (clock.weekday == 4)
    month_end = (clock.month_day <= 2) | (clock.month_day >= 29)
    load *= 1.0 + 0.12 * float(rng.random() < 0.5) * month_end
    load *= np.exp(noise(rng, clock, 0.09, (300, 3600, 6 * 3600, 36 * 3600)))
    load *= bursts(rng, clock, role.bursts[0], role.bursts[1], 12.0)
    return np.asarray(load, dtype=np.float64)


def _hourly(rng: Rng, clock: Clock) -> Floats:
    """Points of cpu that a scheduler's small jobs take, every hour or quarter of it."""
    period = float(rng.choice([0.25, 1.0]))
    phase = (clock.hour / period) % 1.0
    width = max(2.0 / 60.0, clock.step / 3600.0) / period
    runs = np.abs(phase - rng.uniform(0.1, 0.8)) < width / 2
    return float(rng.uniform(0, 7)) * runs.astype(np.float64)


def _error_rate(rng: Rng, clock: Clock, role: Role, requests: Floats) -> Floats:
    """Failed requests expected in a row; small clusters of them now and then."""
    share = role.errors * float(np.exp(0.5 * rng.standard_normal()))
    return share * clock.step * requests * bursts(rng, clock, 1.5, 1.5, 4.0)


def _memory(rng: Rng, clock: Clock, load: Floats, extra: Floats, restarts: list[int]) -> Floats:
    """Memory wanders, fills and is collected, follows the load a little, falls at a restart."""
    n = len(clock.times_us)
    base = float(rng.uniform(35, 65)) + walk(rng, clock, float(rng.uniform(0.8, 2.5)))
    collected = float(rng.uniform(1.0, 5.0)) * sawtooth(rng, clock, float(rng.uniform(0.7, 9.0)))
    memory = base + collected + 3.0 * load + extra + 0.25 * rng.standard_normal(n)
    warm = clock.rows(3600 * 3)
    for row in restarts:
        end = min(n, row + 3 * warm)
        memory[row:end] -= float(rng.uniform(4, 12)) * np.exp(-np.arange(end - row) / warm)
    return memory


def _disk(rng: Rng, clock: Clock) -> Floats:
    """A disk fills day by day; logs are rotated at night, and it is cleaned when it is full."""
    n = len(clock.times_us)
    a_day = float(rng.uniform(0.15, 1.2))
    rotated = float(rng.uniform(0.5, 1.0)) * a_day
    weekly = rng.random() < 0.35
    steps = np.full(n, a_day * clock.step / 86_400)
    for row in clock.local_rows(float(rng.uniform(0, 6))).tolist():
        if not weekly:
            steps[row] -= rotated
        elif clock.weekday[row] == 6:
            steps[row] -= 7 * rotated
    level = float(rng.uniform(30, 70)) + np.cumsum(steps)
    limit = float(rng.uniform(72, 82))
    while (full_rows := np.flatnonzero(level > limit)).size:  # an operator's or a script's clean-up
        level[full_rows[0] :] -= float(rng.uniform(8, 20))
    return np.maximum(level, 3.0) + 0.02 * rng.standard_normal(n)
