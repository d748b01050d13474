"""Records per second from a real Kafka to state, alerts and committed offsets, beside the peers."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.fleet import Fleet
from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.kafka_client import wait_committed
from benchmarks.kafka_server import RealKafka
from benchmarks.peers import PEERS, Job, lacking, race
from benchmarks.progress import Rate, rate_between
from benchmarks.topic import TOPIC, fill
from benchmarks.worker import EmberWorker, stage_shares

_START_SECONDS = 60.0
_SLOWEST = 1_000  # records/s below which there is nothing to measure


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement, and the opponents."""
    parser.add_argument("--records", type=int, default=1_000_000, help="in the topic")
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--checkpoint-seconds", type=float, default=2.0)
    parser.add_argument("--peers", default=",".join(PEERS), help="with commas; empty: none")
    parser.add_argument("--peer-seconds", type=float, default=20.0, help="longest run of a peer")
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Raises:
        BenchmarkError: If a peer is unknown, or the worker fails.
    """
    peers = [name for name in options.peers.split(",") if name]
    if unknown := sorted(set(peers) - set(PEERS)):
        raise BenchmarkError(f"Unknown peers {unknown}. Expected some of {', '.join(PEERS)}.")
    fleet = Fleet(options.keys, options.channels, kinds=options.kinds)
    with tempfile.TemporaryDirectory(prefix="ember-bench-") as scratch, RealKafka() as kafka:
        folder = Path(scratch)
        log_progress("training")
        fleet.model().save(folder / "model")
        log_progress(f"writing {options.records:,} records")
        fill(kafka.bootstrap, fleet, options.records, options.partitions)
        log_progress("ember")
        worker_rate = _worker(folder, kafka.bootstrap, options)
        peer_rates: dict[str, Rate] = {}
        left_out: dict[str, str] = {}
        for name in peers:
            log_progress(name)
            job = Job(
                kafka.bootstrap,
                TOPIC,
                options.partitions,
                options.records,
                options.peer_seconds,
                scratch,
            )
            if absent := lacking(PEERS[name]):
                left_out[name] = f"not installed: {', '.join(absent)}"
                continue
            try:
                peer_rates[name] = race(name, job)
            except BenchmarkError as error:  # the others are still worth having
                left_out[name] = str(error)
    speed, cost = worker_rate["records_per_second"], worker_rate["cpu_us_per_record"]
    return {
        **worker_rate,
        "peers": {name: round(rate.records_per_second) for name, rate in peer_rates.items()},
        "ratios": {
            name: round(speed / peer_rates[name].records_per_second, 3)
            if name in peer_rates
            else None
            for name in PEERS
        },
        "peers_cpu_us_per_record": {
            name: round(rate.cpu_us_per_record, 2) for name, rate in peer_rates.items()
        },
        "cpu_ratios": {
            name: round(rate.cpu_us_per_record / cost, 3) for name, rate in peer_rates.items()
        },
        "left_out": left_out,
    }


def _worker(folder: Path, bootstrap: str, options: argparse.Namespace) -> dict[str, Any]:
    """Our own figures."""
    with EmberWorker(
        folder,
        bootstrap=bootstrap,
        topic=TOPIC,
        model=folder / "model",
        checkpoint_seconds=options.checkpoint_seconds,
    ) as worker:
        worker.until(worker.records, _START_SECONDS)
        metrics_before = worker.metrics()
        samples = worker.watch(options.records, _START_SECONDS + options.records / _SLOWEST)
        metrics_after = worker.metrics()
        wait_committed(bootstrap, worker.group, TOPIC)
        worker.stop()
    rate = rate_between(samples, options.records)
    if rate is None:
        raise BenchmarkError(
            "The run was over before it could be measured. Expected samples below 10 % and above "
            f"90 % of the log. Received: records={options.records}. Raise --records."
        )
    outcomes = {
        name.split('outcome="')[1].split('"')[0]: round(value)
        for name, value in metrics_after.items()
        if name.startswith("ember_record_outcomes_total{") and value
    }
    watched = options.records - int(
        metrics_before.get(f'ember_records_total{{topic="{TOPIC}"}}', 0)
    )
    stages = stage_shares(metrics_before, metrics_after)
    return {
        "records_per_second": round(rate.records_per_second),
        "measured_seconds": round(rate.seconds, 2),
        "outcomes": outcomes,
        "anomalies": round(_sum(metrics_after, "ember_anomalies_total{")),
        "triggers": round(_sum(metrics_after, "ember_triggers_total{")),
        "resident_mib": round(metrics_after.get("process_resident_memory_bytes", 0) / 2**20),
        "stages": stages,
        "cpu_us_per_record": round(rate.cpu_us_per_record, 2),
        "step_us_per_record": round(1e6 * stages["step_seconds"] / max(watched, 1), 2),
    }


def _sum(metrics: dict[str, float], prefix: str) -> float:
    return sum(value for name, value in metrics.items() if name.startswith(prefix))
