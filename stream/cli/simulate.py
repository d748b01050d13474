"""`ember simulate`: telemetry of a simulated fleet, sent to a topic in real time."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType

from stream.demo.faults import Fault
from stream.demo.simulate import LEAST_KEYS, Simulation
from stream.errors import UserError
from stream.tools import clients
from stream.tools.replay import send

from .options import ClusterArgs, ClusterOptions
from .output import message
from .replay import ensure_topic


def simulate(
    *,
    to: str = "",
    history: Path | None = None,
    rows: int = 1_500,
    keys: int = 240,
    interval: float = 1.0,
    healthy: bool = False,
    seed: int = 1,
    partitions: int | None = None,
    cluster: ClusterArgs = ClusterOptions(),
) -> None:
    """Send the telemetry of simulated machines, one record per machine and interval, until Ctrl-C.

    Six faults in ten minutes of one-second rows: a spike, a drift, a stuck sensor, an idle machine,
    a channel that no longer follows its partner, a cycle that speeds up. stderr names machine and
    time of each, to compare with `ember tail triggers`. With --history, write the healthy rows
    before now to a file instead, to train on:

        ember simulate --history history.csv
        ember train history.csv --time ts --key key --out model
        ember simulate --to telemetry

    Args:
        to: Target topic; it must exist unless --partitions is given.
        history: CSV file to write the rows before now to; nothing is sent.
        rows: Number of rows of each machine in the history.
        keys: Number of machines.
        interval: Seconds between two records of a machine.
        healthy: Inject no faults.
        seed: Seed of the machines and their faults; use the same for history and live records.
        partitions: Create a missing topic with this number of partitions.
        cluster: Kafka cluster.
    """
    _check(to, history, keys=keys, interval=interval, rows=rows)
    simulation = Simulation(seed, keys, interval, time.time_ns() // 1000)
    if history is not None:
        count = simulation.write_history(history, rows)
        message(f"{count:,} records of {keys} machines written to {history}.")
        return
    kafka = cluster.settings().kafka
    ensure_topic(kafka, clients.fetch_metadata(kafka), to, partitions)
    producer = clients.open_producer(kafka)
    signal.signal(signal.SIGTERM, _interrupt)
    started_us = time.time_ns() / 1000
    try:
        send(
            producer,
            to,
            simulation.records(healthy=healthy, on_fault=_print_fault),
            pace=lambda _index, time_us: (time_us - started_us) / 1e6,
        )
    except KeyboardInterrupt:
        producer.flush(5)


def _check(to: str, history: Path | None, *, keys: int, interval: float, rows: int) -> None:
    if bool(to) == (history is not None):
        raise UserError(
            "Where to is not clear. Expected either --to TOPIC or --history FILE. "
            f"Received: to={to!r}, history={history}.",
            exit_code=2,
        )
    for name, value, least in (
        ("keys", keys, LEAST_KEYS),
        ("interval", interval, 0.001),
        ("rows", rows, 1),
    ):
        if value < least:
            raise UserError(
                f"--{name} cannot be used. Expected at least {least}. Received: {name}={value}.",
                exit_code=2,
            )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_fault(fault: Fault) -> None:
    source = f"{fault.name} {fault.channel_name}".rstrip()
    clock, rows = time.strftime("%H:%M:%S"), fault.end - fault.onset
    message(f"{clock} {fault.kind.value}: {source}, {rows} rows")
