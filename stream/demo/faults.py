"""Faults injected into the live stream of a simulated fleet, drawn from a seed.

Sizes are in the channel's own normal deviations. Two kinds do not show in the level of any single
channel: a channel that no longer follows its partner, and a cycle with another period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .fleet import CHANNELS, CYCLE_CHANNEL, PAIR, Fleet


class Kind(StrEnum):
    """Kinds of faults."""

    SPIKE = "spike"
    DRIFT = "drift"
    STUCK = "stuck"
    SILENT = "silent"
    CORRELATION = "correlation"
    FREQUENCY = "frequency"


ROWS = {  # shortest and longest duration of a fault, in rows
    Kind.SPIKE: (4, 6),
    Kind.DRIFT: (80, 140),
    Kind.STUCK: (80, 120),
    Kind.SILENT: (50, 80),
    Kind.CORRELATION: (80, 120),
    Kind.FREQUENCY: (100, 140),
}
LEAD_ROWS = 140  # healthy rows before the first fault, in which windows fill
TAIL_ROWS = 30  # rows after the end of the last fault, in which it can still be caught
SPIKE_SIZE = (4.0, 6.0)
DRIFT_SIZE = 3.0
SPEED = (2.5, 3.5)  # factor on the frequency
LIVELY = tuple(  # channels that change in every row, so that a stuck one differs from a healthy one
    map(CHANNELS.index, ("cpu", "load", "requests", "temperature", "network"))
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One injected fault.

    Attributes:
        kind: Kind of the fault.
        key: Index of the machine in the fleet.
        name: Name of the machine, the stream key.
        channel: Index of the channel; None when the machine falls silent.
        onset: First row of the fault, counted from the first row of the history.
        end: First row after the fault.
        size: Deviations (spike, drift; with sign), or the factor on the frequency.
    """

    kind: Kind
    key: int
    name: str
    channel: int | None
    onset: int
    end: int
    size: float = 0.0

    @property
    def channel_name(self) -> str:
        """Name of the channel; empty when the machine falls silent."""
        return "" if self.channel is None else CHANNELS[self.channel]


def shortest_live(count: int) -> int:
    """Return the fewest live rows into which `count` faults fit."""
    longest = max(last for _, last in ROWS.values())
    return LEAD_ROWS + longest + TAIL_ROWS + count


def plan_faults(
    seed: int, names: Sequence[str], first_row: int, rows: int, per_kind: int = 3
) -> list[Fault]:
    """Draw faults for a live stream; never two on one machine.

    Args:
        seed: Seed of the faults; equal seeds and sizes give equal faults.
        names: Names of the machines.
        first_row: First row of the live stream.
        rows: Number of rows of the live stream.
        per_kind: Number of faults of every kind.

    Returns:
        The faults by onset, spread evenly over the live stream; the first is a spike.

    Raises:
        ValueError: If there are too few machines or rows.
    """
    count = per_kind * len(Kind)
    if len(names) < 2 * count or rows < shortest_live(count):
        msg = (
            f"{count} faults do not fit into the live stream. Expected at least {2 * count} keys "
            f"and {shortest_live(count)} rows. Received: keys={len(names)}, rows={rows}. "
            "Use more keys, more seconds, or fewer faults of a kind."
        )
        raise ValueError(msg)
    rng = np.random.default_rng([seed, 2])
    order: list[Kind] = []
    for _ in range(per_kind):
        block = list(Kind)[1:]
        rng.shuffle(block)
        order += [Kind.SPIKE, *block]
    keys = rng.choice(len(names), size=count, replace=False)
    last_onset = rows - TAIL_ROWS - max(last for _, last in ROWS.values())
    onsets = first_row + np.linspace(LEAD_ROWS, last_onset, count).astype(int)
    return [
        draw_fault(rng, kind, int(key), names[key], int(onset))
        for kind, key, onset in zip(order, keys, onsets, strict=True)
    ]


def draw_fault(rng: np.random.Generator, kind: Kind, key: int, name: str, onset: int) -> Fault:
    """Draw duration, channel and size of one fault.

    Args:
        rng: Random generator.
        kind: Kind of the fault.
        key: Index of the machine in the fleet.
        name: Name of the machine.
        onset: First row of the fault.
    """
    shortest, longest = ROWS[kind]
    end = onset + int(rng.integers(shortest, longest + 1))
    channel: int | None = int(rng.integers(len(CHANNELS)))
    sign = float(rng.choice((-1.0, 1.0)))
    size = 0.0
    if kind is Kind.SPIKE:
        size = sign * float(rng.uniform(*SPIKE_SIZE))
    elif kind is Kind.DRIFT:
        size = sign * DRIFT_SIZE
    elif kind is Kind.STUCK:
        channel = int(rng.choice(LIVELY))
    elif kind is Kind.SILENT:
        channel = None
    elif kind is Kind.CORRELATION:
        channel = int(rng.choice(PAIR))
    elif kind is Kind.FREQUENCY:
        channel, size = CYCLE_CHANNEL, float(rng.uniform(*SPEED))
    return Fault(kind, key, name, channel, onset, end, size)


class Injector:
    """Injector of faults into the rows of a live stream, which must be passed in order.

    Args:
        fleet: Fleet that the rows are from.
        faults: Faults to inject.
        deviation: Normal deviation of every channel (K, C), from the history.
    """

    def __init__(
        self, fleet: Fleet, faults: Sequence[Fault], deviation: NDArray[np.float64]
    ) -> None:
        self._fleet = fleet
        self._faults = list(faults)
        self._deviation = deviation
        self._frozen: dict[Fault, float] = {}
        self._twins: dict[Fault, Fleet] = {}

    def add(self, fault: Fault) -> None:
        """Inject one more fault, whose rows are all to come."""
        self._faults.append(fault)

    def apply(
        self, first_row: int, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the rows as the machines report them.

        Args:
            first_row: Number of the first row.
            values: Healthy rows (rows, K, C); not changed.

        Returns:
            The values (rows, K, C), and a mask of the records that are sent (rows, K).
        """
        values = values.copy()
        sent = np.ones(values.shape[:2], dtype=np.bool_)
        for fault in self._faults:
            for row in range(max(fault.onset, first_row), min(fault.end, first_row + len(values))):
                if fault.channel is None:
                    sent[row - first_row, fault.key] = False
                else:
                    healthy = float(values[row - first_row, fault.key, fault.channel])
                    values[row - first_row, fault.key, fault.channel] = self._value(
                        fault, fault.channel, row, healthy
                    )
        return values, sent

    def _value(self, fault: Fault, channel: int, row: int, healthy: float) -> float:
        """Return the value that the faulty channel reports instead of `healthy`."""
        unit = fault.size * float(self._deviation[fault.key, channel])
        match fault.kind:
            case Kind.SPIKE:
                return healthy + unit
            case Kind.DRIFT:
                # The drift reaches its full size after four fifths, and stays there.
                grown = (row - fault.onset + 1) / (0.8 * (fault.end - fault.onset))
                return healthy + unit * min(grown, 1.0)
            case Kind.STUCK:
                return self._frozen.setdefault(fault, healthy)
            case Kind.FREQUENCY:
                return (
                    healthy
                    - self._fleet.cycle(row, fault.key)
                    + self._fleet.cycle(row, fault.key, fault.size, since=fault.onset)
                )
            case _:
                return self._twin_value(fault, channel)

    def _twin_value(self, fault: Fault, channel: int) -> float:
        """Return the value of an independent twin: the same distribution without the partner."""
        if fault not in self._twins:
            seed = self._fleet.seed * 1_000_003 + fault.onset * 1_009 + fault.key
            self._twins[fault] = self._fleet.twin(fault.key, seed, fault.onset)
        _, values = self._twins[fault].history(1)
        return float(values[0, 0, channel])
