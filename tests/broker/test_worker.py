"""The worker against brokers: plain run, kills, joins, zombies; state and events as in one run."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, ProducerFenced

from stream.kafka.client.fenced_producer import FencedProducer
from tests.broker.conftest import Broker
from tests.broker.workers import WorkerProcess, check, make_records, wait_committed

PARTITIONS = 3
KEYS = 211
GUARANTEES = ["at_least_once", "exactly_once"]


class Bench:
    """A topic, a group, and workers on them."""

    def __init__(self, broker: Broker, directory: Path, records: int, **options: Any) -> None:
        self.broker = broker
        self.directory = directory
        self.options = options
        self.group = broker.name("g")
        self.topic = broker.topic("in", PARTITIONS)
        self.changelog = f"{self.group}-state-{self.topic}-changelog"
        outputs = [f"{self.topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
        if not broker.real:
            broker.create(dict.fromkeys([self.changelog, *outputs], PARTITIONS))
        self.records = make_records(records, KEYS, PARTITIONS)
        self.fed = 0

    def feed(self, count: int | None = None) -> None:
        end = len(self.records) if count is None else self.fed + count
        self.broker.produce(self.topic, self.records[self.fed : end])
        self.fed = end

    def worker(self, **options: Any) -> WorkerProcess:
        return WorkerProcess(
            self.broker, self.topic, self.group, self.directory, **{**self.options, **options}
        )

    def finish(self, worker: WorkerProcess) -> dict[str, int]:
        metas = wait_committed(worker, self.broker, self.changelog, self.fed)
        exactly_once = self.options.get("guarantee") == "exactly_once"
        return check(
            self.broker, self.group, self.topic, self.records, metas, exactly_once=exactly_once
        )


@pytest.mark.broker
def test_one_run_gives_state_events_and_dead_letters(broker: Broker, tmp_path: Path) -> None:
    bench = Bench(broker, tmp_path, 20_000, dead_letters_per_second=1_000_000)
    bench.feed()
    with bench.worker() as worker:
        assert bench.finish(worker)["duplicates"] == 0
        worker.stop()
    letters = broker.consume_all(f"{bench.topic}.dead-letters")
    refused = [r for r in bench.records if len(r.value or b"") != 8]
    assert sorted((r.key, r.value) for r in letters) == sorted((r.key, r.value) for r in refused)
    headers = dict(letters[0].headers)
    assert headers["__connect.errors.topic"] == bench.topic.encode()
    assert headers["ember.reason"] == b"not_json"


@pytest.mark.broker
def test_restart_goes_on_where_the_state_ends(broker: Broker, tmp_path: Path) -> None:
    bench = Bench(broker, tmp_path, 4_000)
    bench.feed(2_000)
    with bench.worker() as first:
        wait_committed(first, broker, bench.changelog, 2_000)
        first.stop()
    bench.feed()
    with bench.worker() as second:
        assert bench.finish(second)["duplicates"] == 0
        second.stop()


@pytest.mark.broker
def test_much_to_write_does_not_wait_for_the_interval(broker: Broker, tmp_path: Path) -> None:
    bench = Bench(broker, tmp_path, 5_000, interval_seconds=3_600.0, checkpoint_bytes=1)
    bench.feed()
    with bench.worker() as worker:
        assert bench.finish(worker)["duplicates"] == 0
        assert {said["reason"] for said in worker.said("checkpoint")} == {"full"}
        worker.stop()


@pytest.mark.kafka
@pytest.mark.parametrize(("guarantee", "copies"), [("at_least_once", 0.1), ("exactly_once", 0.0)])
def test_kills_leave_no_trace(kafka: Broker, tmp_path: Path, guarantee: str, copies: float) -> None:
    """With copies of the state on the disk as without."""
    bench = Bench(
        kafka,
        tmp_path,
        200_000,
        guarantee=guarantee,
        interval_seconds=0.1,
        snapshot_seconds=copies,
    )
    rng = random.Random(11)
    for _ in range(4):
        bench.feed(40_000)
        with bench.worker() as worker:
            worker.running()
            worker.until(lambda w=worker: w.absorbed() > 0)
            time.sleep(rng.random() * 0.4)
            worker.kill()
    bench.feed()
    with bench.worker() as worker:
        bench.finish(worker)
        worker.stop()


@pytest.mark.kafka
def test_a_restart_on_the_same_host_reads_only_the_tail(kafka: Broker, tmp_path: Path) -> None:
    bench = Bench(kafka, tmp_path, 90_000, interval_seconds=0.1, snapshot_seconds=600.0)
    bench.feed(30_000)
    with bench.worker() as first:
        wait_committed(first, kafka, bench.changelog, 30_000)
        first.stop()
    ends = {r.partition: r.offset for r in kafka.consume_all(bench.changelog)}
    copies = list((tmp_path / "snapshots" / bench.group).glob("*.snapshot"))
    assert len(copies) == PARTITIONS
    bench.feed(30_000)
    with bench.worker(snapshot_seconds=0.0) as elsewhere:  # it knows nothing of the copies
        wait_committed(elsewhere, kafka, bench.changelog, 60_000)
        elsewhere.kill()
    bench.feed()
    with bench.worker() as second:
        bench.finish(second)
        second.stop()
    read = [line for line in second.errors if "keys were read from the disk" in line]
    assert len(read) == PARTITIONS
    fetched = second.said("fetched")
    assert fetched
    assert all(line["first"] >= ends[line["tp"][1]] for line in fetched)  # begins at the last known


@pytest.mark.kafka
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_second_worker_joins_and_leaves(kafka: Broker, tmp_path: Path, guarantee: str) -> None:
    bench = Bench(kafka, tmp_path, 300_000, guarantee=guarantee)
    bench.feed(100_000)
    with bench.worker() as first, bench.worker() as second:
        first.running()
        second.until(lambda: second.said("assigned"))
        bench.feed(100_000)
        second.until(lambda: second.absorbed() > 0)
        second.stop()
        bench.feed()
        bench.finish(first)
        first.stop()
    after = first.lines[first.lines.index(first.said("assigned")[0]) :]
    owned = [{tuple(tp) for tp in line["active"]} for line in first.said("assigned")]
    kept = set.intersection(*owned)
    assert kept
    again = [line for line in after if line["what"] == "fetched" and tuple(line["tp"]) in kept]
    # The last known record: Faust seeks to it, not behind it.
    assert all(line["first"] == line["last"] for line in again)


@pytest.mark.kafka
def test_a_static_member_comes_back_without_a_rebalance(kafka: Broker, tmp_path: Path) -> None:
    """Killed and started again within the session: its partitions are its own, others go on."""
    bench = Bench(kafka, tmp_path, 20_000, session_timeout_seconds=45.0)
    bench.feed(5_000)
    with bench.worker(instance_id="one") as other, bench.worker(instance_id="two") as first:

        def shared() -> bool:
            """Whether both have the partitions that the last rebalance gave them."""
            owned = [worker.said("assigned")[-1:] for worker in (first, other)]
            tps = [tuple(tp) for said in owned for each in said for tp in each["active"]]
            return all(owned) and len(tps) == len(set(tps)) == PARTITIONS

        other.until(shared)
        wait_committed(other, kafka, bench.changelog, 5_000)
        first.kill()
        before = len(other.said("assigned"))
        bench.feed(5_000)
        with bench.worker(instance_id="two") as again:
            again.running()
            given = [sorted(worker.said("assigned")[-1]["active"]) for worker in (again, first)]
            assert given[0] == given[1]
            bench.feed()
            bench.finish(again)
            assert len(other.said("assigned")) == before
            again.stop()
        other.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_standby_takes_over_without_reading_again(
    kafka: Broker, tmp_path: Path, guarantee: str
) -> None:
    bench = Bench(kafka, tmp_path, 120_000, guarantee=guarantee, standby_replicas=1)
    bench.feed(60_000)
    with bench.worker() as first, bench.worker() as second:
        first.until(lambda: first.said("assigned") and second.said("assigned"))
        first.until(lambda: first.absorbed() + second.absorbed() > 0)
        time.sleep(1.5)
        first.kill()
        bench.feed()
        bench.finish(second)
        second.stop()
    last: dict[int, int] = {}
    for line in second.said("fetched"):  # none where it had all partitions from the beginning
        partition = line["tp"][1]
        assert line["first"] >= last.get(partition, -1), "more than the last known was read again"
        last[partition] = line["last"]


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize(
    ("guarantee", "transactions"),
    [("at_least_once", "on"), ("exactly_once", "on"), ("at_least_once", "off")],
)
def test_a_zombie_is_fenced(
    kafka: Broker, tmp_path: Path, guarantee: str, transactions: str
) -> None:
    bench = Bench(
        kafka,
        tmp_path,
        300_000,
        guarantee=guarantee,
        transactions=transactions,
        interval_seconds=0.1,
    )
    bench.feed(100_000)
    with bench.worker() as zombie:
        zombie.running()
        bench.feed(100_000)
        zombie.until(lambda: zombie.absorbed() > 0)
        zombie.signal(signal.SIGSTOP)
        with bench.worker() as heir:
            heir.running()
            bench.feed(50_000)
            wait_committed(heir, kafka, bench.changelog, 200_000)
            zombie.signal(signal.SIGCONT)
            assert zombie.wait(30) == 1, zombie.tail()
            assert "fenced" in zombie.said("phase", phase="failed")[0]["detail"]
            bench.feed()  # without transactions the zombie's late rows may be the last until then
            bench.finish(heir)
            heir.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_a_former_workers_open_transaction_is_ended(
    kafka: Broker, tmp_path: Path, guarantee: str
) -> None:
    """A worker that died within a transaction leaves rows nobody may read, and nobody waits for."""
    bench = Bench(kafka, tmp_path, 20_000, guarantee=guarantee)
    bench.feed(10_000)
    with bench.worker() as first:
        wait_committed(first, kafka, bench.changelog, 10_000)
        first.kill()
    writer = await last_writer(kafka.bootstrap, bench.group, bench.topic)
    dead = FencedProducer(
        transactional_id=writer, bootstrap_servers=kafka.bootstrap, transaction_timeout_ms=600_000
    )
    await dead.start()
    try:
        await dead.begin_transaction()
        for partition in range(PARTITIONS):
            sent = await dead.send(
                bench.changelog, key=b"key-00000", value=b"", partition=partition
            )
            await sent
        bench.feed()
        with bench.worker() as second:
            await asyncio.to_thread(bench.finish, second)
            await asyncio.to_thread(second.stop)
        with pytest.raises((ProducerFenced, KafkaError)):
            await dead.commit_transaction()
    finally:
        await dead.stop()


async def last_writer(bootstrap: str, group: str, topic: str) -> str:
    """The transactional id named with the group's offsets."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    (writer,) = {offset.metadata for tp, offset in offsets.items() if tp.topic == topic}
    return str(writer)
