"""Time of Kafka Streams to restore the same changelog into RocksDB."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

from benchmarks.java_program import compiled
from benchmarks.kafka_jars import VERSION, KafkaUnavailableError, java
from benchmarks.maven import MavenError

APPLICATION: Final = "recovery"
STORE: Final = "rows"
CHANGELOG: Final = f"{APPLICATION}-{STORE}-changelog"
"""Where Kafka Streams looks for this application's rows."""

_SECONDS: Final = 300.0
_PROGRAM: Final = """\
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.Stores;

public class StreamsRestore {
    static long began, ended, rows;

    static class Nothing implements Processor<byte[], byte[], Void, Void> {
        public void process(Record<byte[], byte[]> record) {}
    }

    static class Watch implements StateRestoreListener {
        public synchronized void onRestoreStart(
                TopicPartition tp, String store, long from, long to) {
            if (began == 0) began = System.nanoTime();
        }
        public void onBatchRestored(TopicPartition tp, String store, long end, long count) {}
        public synchronized void onRestoreEnd(TopicPartition tp, String store, long total) {
            ended = System.nanoTime();
            rows += total;
        }
    }

    public static void main(String[] words) throws Exception {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, words[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, words[1]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, words[4]);
        Topology topology = new Topology();
        ByteArrayDeserializer plain = new ByteArrayDeserializer();
        topology.addSource("in", plain, plain, words[2]);
        topology.addProcessor("hold", Nothing::new, "in");
        topology.addStateStore(Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore(words[3]), Serdes.Bytes(), Serdes.ByteArray()), "hold");
        CountDownLatch running = new CountDownLatch(1);
        KafkaStreams streams = new KafkaStreams(topology, settings);
        streams.setGlobalStateRestoreListener(new Watch());
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING || now == KafkaStreams.State.ERROR)
                running.countDown();
        });
        streams.start();
        running.await();
        if (streams.state() != KafkaStreams.State.RUNNING) System.exit(1);
        System.out.println(rows + " " + (ended - began) / 1e9);
        System.exit(0);
    }
}
"""


def streams(bootstrap: str, topic: str, folder: Path) -> dict[str, Any]:
    """Restore the rows in `CHANGELOG` with everything at its default.

    Args:
        bootstrap: A real broker.
        topic: Input with as many partitions; nothing of it is read.
        folder: Folder of RocksDB's files.

    Returns:
        Records restored, seconds from the first restored partition's begin to the last one's end,
        and rows a second; or under `left_out` why there is nothing to say.
    """
    try:
        artefact = f"org.apache.kafka:kafka-streams:{VERSION}"
        classes = compiled("StreamsRestore", _PROGRAM, f"kafka-streams-{VERSION}", (artefact,))
        words = [java(), "-Xmx1g", "-cp", classes, "StreamsRestore"]
        process = subprocess.run(
            [*words, bootstrap, APPLICATION, topic, STORE, str(folder)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (MavenError, KafkaUnavailableError, subprocess.TimeoutExpired) as error:
        return {"left_out": str(error)}
    if process.returncode:
        return {"left_out": (process.stderr.strip().splitlines() or ["it ended"])[-1][:200]}
    records, seconds = process.stdout.split()
    return {
        "records": int(records),
        "seconds": round(float(seconds), 2),
        "records_per_second": round(int(records) / float(seconds)),
    }
