"""Records per second of a worker on a real Kafka, with re-keying and without, on the same topic."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.fleet import Fleet
from benchmarks.frame import BenchmarkError, log_progress
from benchmarks.kafka_server import RealKafka
from benchmarks.progress import Sample
from benchmarks.topic import TOPIC, fill
from benchmarks.worker import EmberWorker
from ember_core.pipeline import FleetModel

_START_SECONDS: Final = 60.0
_SLOWEST: Final = 1_000  # records/s below which there is nothing to measure
_REKEY: Final = "rekey = true\n"


def measure(model: FleetModel, fleet: Fleet, records: int, partitions: int) -> dict[str, Any]:
    """Let a worker absorb a topic as it is, and another one re-key it first.

    The time is that from the first message read to the last one absorbed.

    Args:
        model: The model.
        fleet: Keys and their rows.
        records: Number of records in the topic.
        partitions: Partitions of the topic, and of the one of re-keyed records.
    """
    with tempfile.TemporaryDirectory(prefix="ember-bench-") as scratch, RealKafka() as kafka:
        folder = Path(scratch)
        model.save(folder / "model")
        log_progress(f"writing {records:,} records")
        fill(kafka.bootstrap, fleet, records, partitions)
        figures = {}
        for name, lines in (("without", ""), ("with", _REKEY)):
            log_progress(f"{name} re-keying")
            figures[name] = _run(folder / name, kafka.bootstrap, folder / "model", lines, records)
    speeds = {name: figure["records_per_second"] for name, figure in figures.items()}
    return {**figures, "ratio": round(speeds["with"] / speeds["without"], 3)}


def _run(
    folder: Path, bootstrap: str, model: Path, input_lines: str, records: int
) -> dict[str, Any]:
    group = folder.name
    engine_topic = f"{group}-rekey" if input_lines else TOPIC
    folder.mkdir()
    with EmberWorker(
        folder,
        bootstrap=bootstrap,
        topic=TOPIC,
        engine_topic=engine_topic,
        model=model,
        group=group,
        input_lines=input_lines,
    ) as worker:
        begin = Sample(0.0, 0, 0.0)

        def has_begun() -> bool:
            nonlocal begin
            begin = worker.look(TOPIC)
            return begin.records > 0

        worker.until(has_begun, _START_SECONDS, 0.02)
        end = worker.watch(records, _START_SECONDS + records / _SLOWEST)[-1]
        worker.stop()
    seconds = end.seconds - begin.seconds
    if begin.records > records / 2:
        raise BenchmarkError(
            "The run was over before it could be measured. Expected less than half of the log at "
            f"the first look. Received: records={records}. Raise --rekeyed-records."
        )
    return {
        "records_per_second": round((records - begin.records) / seconds),
        "measured_seconds": round(seconds, 2),
        "cpu_us_per_record": round(1e6 * (end.cpu_seconds - begin.cpu_seconds) / records, 2),
    }
