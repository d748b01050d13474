"""`ember simulate`: telemetry of a simulated fleet onto a topic, as it happens."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType

from stream.demo.faults import Fault
from stream.demo.simulate import LEAST_KEYS, Simulation
from stream.errors import UserError
from stream.settings import Settings
from stream.tools import clients
from stream.tools.replay import send

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
    bootstrap_servers: str | None = None,
    config: Path | None = None,
) -> None:
    """Send what a fleet of machines reports, one record per machine and interval, until Ctrl-C.

    Six faults in ten minutes of one-second rows: a spike, a drift, a stuck sensor, a silent
    machine, a channel that no longer follows its partner, a cycle that speeds up. stderr says which
    machine and when, to be held against what `ember tail triggers` says. With --history, the
    healthy rows before now are written to a file instead, to train on:

        ember simulate --history history.csv
        ember train history.csv --time ts --key key --out model
        ember simulate --to telemetry

    Args:
        to: The topic; it must be there, or --partitions be given.
        history: CSV file for what the fleet reported before now; nothing is sent.
        rows: Rows of each machine in it.
        keys: Machines.
        interval: Seconds between two records of a machine.
        healthy: Without faults.
        seed: Of the machines and what they do; the same for the history and for what follows.
        partitions: Create the topic with so many partitions where it is missing.
        bootstrap_servers: Brokers, host:port with commas between.
        config: Settings file; default ember.toml where there is one.
    """
    _check(to, history, keys=keys, interval=interval, rows=rows)
    simulation = Simulation(seed, keys, interval, time.time_ns() // 1000)
    if history is not None:
        count = simulation.write_history(history, rows)
        _say(f"{count:,} records of {keys} machines written to {history}.")
        return
    kafka = Settings.load(config, kafka={"bootstrap_servers": bootstrap_servers}).kafka
    ensure_topic(kafka, clients.fetch_metadata(kafka), to, partitions)
    producer = clients.open_producer(kafka)
    signal.signal(signal.SIGTERM, _interrupt)
    started_us = time.time_ns() / 1000
    try:
        send(
            producer,
            to,
            simulation.records(healthy=healthy, on_fault=_tell),
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


def _tell(fault: Fault) -> None:
    where = f"{fault.name} {fault.channel_name}".rstrip()
    _say(f"{time.strftime('%H:%M:%S')} {fault.kind.value}: {where}, {fault.end - fault.onset} rows")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
