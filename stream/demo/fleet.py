"""Simulated fleet: machines with correlated telemetry, a daily pattern, noise and load bursts.

One process drives all channels of a machine: its *activity* (day, slow noise, bursts). Most
channels follow it, each with noise of its own. So a burst raises several channels together and is
normal, however large. `network` follows `requests` closely; `temperature` has a regular cycle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANNELS = (
    "cpu",
    "load",
    "memory",
    "latency_p99",
    "requests",
    "errors",
    "temperature",
    "network",
)
UNITS = ("%", "", "%", "ms", "1/s", "1/s", "°C", "MB/s")
CYCLE_CHANNEL = CHANNELS.index("temperature")
PAIR = (CHANNELS.index("requests"), CHANNELS.index("network"))
KINDS = ("pump", "db", "web", "cache", "edge", "fan")
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z: the same stream for a seed, on any day
DAY_ROWS = 240
CYCLE_ROWS = 16.0
CYCLE_SIZE = 1.1

_GROUPS = 12  # keys that share bursts, as machines behind one load balancer do
_BASE = np.array([45.0, 3.0, 55.0, 120.0, 400.0, 30.0, 60.0, 80.0])
_SPREAD = np.array([8.0, 0.4, 4.0, 15.0, 60.0, 3.0, 3.0, 12.0])
# Noise of each channel, and its autocorrelation from row to row.
_NOISE = np.array([0.25, 0.15, 0.25, 0.4, 0.07, 0.5, 0.05, 0.07])
_MEMORY = np.array([0.6, 0.7, 0.9, 0.3, 0.2, 0.2, 0.5, 0.2])


@dataclass(frozen=True, slots=True)
class Machines:
    """Parameters of the machines; arrays over keys (K,) or (K, C)."""

    names: tuple[str, ...]
    group: NDArray[np.int64]
    offset: NDArray[np.float64]
    scale: NDArray[np.float64]
    day_phase: NDArray[np.float64]
    day_size: NDArray[np.float64]
    cycle_rows: NDArray[np.float64]
    cycle_phase: NDArray[np.float64]
    burst_size: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, keys: int) -> Machines:
        """Draw `keys` machines."""
        names = tuple(f"{KINDS[i % len(KINDS)]}-{i // len(KINDS) + 1:03d}" for i in range(keys))
        size = np.exp(rng.normal(0.0, 0.25, (keys, 1)))  # a large machine is larger in everything
        shape = (keys, len(CHANNELS))
        return cls(
            names=names,
            group=np.arange(keys) % _GROUPS,
            offset=_BASE * size * np.exp(rng.normal(0.0, 0.1, shape)),
            scale=_SPREAD * size * np.exp(rng.normal(0.0, 0.15, shape)),
            day_phase=rng.normal(0.0, 0.25, keys),
            day_size=rng.uniform(0.8, 1.2, keys),
            cycle_rows=CYCLE_ROWS * rng.uniform(0.99, 1.01, keys),
            cycle_phase=rng.uniform(0.0, 2 * np.pi, keys),
            burst_size=rng.uniform(0.8, 1.2, keys),
        )

    def only(self, key: int) -> Machines:
        """Return the machine at index `key` alone."""
        cut = slice(key, key + 1)
        return Machines(
            self.names[cut],
            self.group[cut],
            self.offset[cut],
            self.scale[cut],
            self.day_phase[cut],
            self.day_size[cut],
            self.cycle_rows[cut],
            self.cycle_phase[cut],
            self.burst_size[cut],
        )


class Fleet:
    """Fleet that produces its rows in order, history first, then live.

    Args:
        seed: Seed of the machines and of their behaviour.
        keys: Number of machines, K.
        interval_seconds: Event time between two rows of a machine.
        machines: Machines to use instead of drawing them.
        day_shift: Rows by which the daily pattern is shifted.

    Examples:
        >>> fleet = Fleet(seed=1, keys=3)
        >>> time_us, values = fleet.history(5)
        >>> values.shape
        (5, 3, 8)
    """

    channels = CHANNELS

    def __init__(
        self,
        seed: int,
        keys: int = 240,
        interval_seconds: float = 10.0,
        *,
        machines: Machines | None = None,
        day_shift: float = 0.0,
    ) -> None:
        self.seed = seed
        self.machines = machines or Machines.draw(np.random.default_rng([seed, 0]), keys)
        self.names = self.machines.names
        self.interval_us = round(interval_seconds * 1e6)
        self.row = 0  # number of the next row
        self._day_shift = day_shift
        self._rng = np.random.default_rng([seed, 1])
        K = len(self.names)
        self._drift = self._rng.normal(size=K)  # slow noise of the activity
        self._unrest = self._rng.normal(size=K)  # log of the noise's size
        self._burst = np.zeros((2, K))  # target and current value of the bursts
        self._noise = self._rng.normal(size=(K, len(CHANNELS)))
        self._load = np.zeros(K)
        self._heap = np.zeros(K)
        for _ in range(DAY_ROWS):  # until the arbitrary start has no influence
            self._advance()
        self.row = 0

    def history(self, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Advance by `rows` rows.

        Returns:
            Event times in microseconds (rows,) and values (rows, K, C) in `CHANNELS` order.
        """
        first = self.row
        values = np.empty((rows, len(self.names), len(CHANNELS)))
        for i in range(rows):
            values[i] = self._advance()
        return self.time_us(np.arange(first, first + rows)), values

    def live(self, chunk: int = 1) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Iterate over further rows without end, `chunk` rows at a time."""
        while True:
            yield self.history(chunk)

    def time_us(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the event time of rows counted from the first row of the history."""
        return START_US + row * self.interval_us

    def cycle(self, row: float, key: int, speed: float = 1.0, since: float = 0.0) -> float:
        """Return the temperature's cycle, in the channel's unit.

        Args:
            row: Number of the row, from the first row of the history.
            key: Index of the machine.
            speed: Factor on the frequency, beginning with row `since`; the phase has no jump.
            since: First row of the changed frequency.
        """
        m = self.machines
        phase_row = since + (row - since) * speed if row > since else row
        angle = 2 * np.pi * phase_row / m.cycle_rows[key] + m.cycle_phase[key]
        return float(CYCLE_SIZE * np.sin(angle) * m.scale[key, CYCLE_CHANNEL])

    def twin(self, key: int, seed: int, row: int) -> Fleet:
        """Return a fleet of one machine with the parameters of `key`, half a day out of phase.

        Args:
            key: Index of the machine.
            seed: Seed of its behaviour.
            row: Number of its first row.
        """
        twin = Fleet(
            seed,
            interval_seconds=self.interval_us / 1e6,
            machines=self.machines.only(key),
            day_shift=DAY_ROWS / 2,
        )
        twin.row = row
        return twin

    def _advance(self) -> NDArray[np.float64]:
        """Return the values of the next row (K, C)."""
        rng, m = self._rng, self.machines
        K = len(self.names)
        self._unrest = 0.98 * self._unrest + 0.2 * rng.normal(size=K)
        size = np.exp(0.1 * self._unrest)
        self._drift = 0.85 * self._drift + 0.53 * size * rng.normal(size=K)
        self._noise = _MEMORY * self._noise + np.sqrt(1 - _MEMORY**2) * size[:, None] * rng.normal(
            size=self._noise.shape
        )
        burst = self._bursts(rng, K)
        angle = 2 * np.pi * (self.row + self._day_shift) / DAY_ROWS + m.day_phase
        day = m.day_size * (np.sin(angle) + 0.3 * np.sin(2 * angle))
        activity = 0.8 * day + 0.6 * self._drift + burst
        noise = _NOISE * self._noise
        cpu = 0.75 * activity + 0.3 * burst + noise[:, 0]
        self._load += 0.3 * (cpu - self._load)
        self._heap += 0.05 * (activity - self._heap)
        cycle_angle = 2 * np.pi * self.row / m.cycle_rows + m.cycle_phase
        shape = (
            cpu,
            1.2 * self._load + noise[:, 1],
            0.6 * self._heap + noise[:, 2],
            0.5 * activity + 0.1 * np.maximum(activity - 1.5, 0.0) + noise[:, 3],
            activity + noise[:, 4],
            0.4 * activity + 0.3 * burst + noise[:, 5],
            CYCLE_SIZE * np.sin(cycle_angle) + 0.05 * self._load + noise[:, 6],
            activity + noise[:, 7],
        )
        self.row += 1
        return np.asarray(m.offset + m.scale * np.stack(shape, axis=1))

    def _bursts(self, rng: np.random.Generator, K: int) -> NDArray[np.float64]:
        """Return the burst load of each machine; bursts rise fast and decay over two dozen rows."""
        group = rng.random(_GROUPS) < 1 / 250
        hit = (group[self.machines.group] & (rng.random(K) < 0.7)) | (rng.random(K) < 1 / 300)
        size = np.minimum(1.5 + rng.exponential(0.8, K), 4.0) * self.machines.burst_size
        target, current = self._burst
        target = np.maximum(0.9 * target, np.where(hit, size, 0.0))
        current = current + 0.3 * (target - current)
        self._burst = np.stack((target, current))
        return current
