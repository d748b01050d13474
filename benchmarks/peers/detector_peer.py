"""Anomaly detectors that learn record by record, one for all keys, behind the quickest consumer."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec

from benchmarks.java_program import compiled
from benchmarks.kafka_jars import java
from benchmarks.peers import Job
from benchmarks.peers.progress import PeerProgress
from benchmarks.progress import Reporter

_FOREST: Final = "software.amazon.randomcutforest:randomcutforest-core:4.3.0"
_SERVICES: Final = "software.amazon.randomcutforest:randomcutforest-parkservices:4.3.0"
_TREES: Final = 30
_MOST: Final = 200_000  # records that the forest is given; it does not get far in its time

_PROGRAM: Final = """\
import com.amazon.randomcutforest.parkservices.ThresholdedRandomCutForest;
import java.io.BufferedReader;
import java.io.InputStreamReader;

public class CutForestPace {
    public static void main(String[] words) throws Exception {
        int dimensions = Integer.parseInt(words[0]);
        ThresholdedRandomCutForest forest = ThresholdedRandomCutForest.builder()
            .dimensions(dimensions).shingleSize(1).numberOfTrees(Integer.parseInt(words[1]))
            .sampleSize(256).randomSeed(0).parallelExecutionEnabled(false).build();
        BufferedReader rows = new BufferedReader(new InputStreamReader(System.in), 1 << 20);
        long count = 0;
        double[] row = new double[dimensions];
        for (String line = rows.readLine(); line != null; line = rows.readLine()) {
            String[] cells = line.split(",");
            for (int i = 0; i < dimensions; i++) row[i] = Double.parseDouble(cells[i]);
            forest.process(row, count);
            if (++count % 500 == 0) System.out.println(count);
        }
        System.out.println(count);
    }
}
"""


def river_hst(job: Job) -> None:
    """River's HalfSpaceTrees behind its MinMaxScaler: score, then learn, each record."""
    from river import anomaly, compose, preprocessing

    progress = PeerProgress(job)
    model = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
    with Reporter(lambda: progress.count):
        for values in _values(job, progress):
            model.score_one(values)
            model.learn_one(values)
            progress.count += 1


def rcf(job: Job) -> None:
    """AWS's Random Cut Forest with its thresholds, 30 trees, on the JVM."""
    import psutil

    progress, reading = (
        PeerProgress(job),
        PeerProgress(replace(job, records=min(job.records, _MOST))),
    )
    rows: list[str] = []
    for values in _values(job, reading):
        rows.append(",".join(map(repr, values.values())))
        reading.count += 1
    # What the services need for their own tests only is not in Maven Central.
    jars = "randomcutforest-parkservices-4.3.0"
    classes = compiled("CutForestPace", _PROGRAM, jars, (_FOREST,), (_SERVICES,))
    words = [java(), "-Xmx1g", "-cp", classes, "CutForestPace"]
    with tempfile.TemporaryFile("w+") as lines:
        lines.write("\n".join(rows) + "\n")
        lines.seek(0)
        width = rows[0].count(",") + 1
        with subprocess.Popen(
            [*words, str(width), str(_TREES)], stdin=lines, stdout=subprocess.PIPE, text=True
        ) as child:
            runs = psutil.Process(child.pid)

            def cpu() -> float:
                try:
                    times = runs.cpu_times()
                except psutil.Error:
                    return last[0]
                last[0] = times.user + times.system
                return last[0]

            last = [0.0]
            stop = threading.Timer(job.seconds, child.terminate)
            stop.start()
            with Reporter(lambda: progress.count, cpu):
                for line in child.stdout or ():
                    progress.count = int(line)
            stop.cancel()


def _values(job: Job, progress: PeerProgress) -> Iterator[dict[str, Any]]:
    """Values of the records, until the peer has had enough."""
    from confluent_kafka import Consumer, TopicPartition

    decode = msgspec.json.decode
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": "detector",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(job.topic, part, 0) for part in range(job.partitions)])
    try:
        while not progress.is_over():
            for message in consumer.consume(1_000, timeout=0.5):
                yield decode(message.value() or b"")["values"]
                if progress.is_over():
                    return
    finally:
        consumer.close()
