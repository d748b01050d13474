"""`ember state` on changelogs that the real engine wrote."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.kafka_client import Send, committed_offsets
from stream.cli.state import rebase, reset, show
from stream.cli.state_clock import clock
from stream.cli.state_files import export, import_
from stream.engine import META_KEY, Engine, SliceOffsets
from stream.errors import UserError
from stream.kafka.protocol.changelog import Changelog
from stream.observer import Observer
from stream.records import Decoded
from stream.settings import Settings
from stream.tools.partitioners import crc32, murmur2
from stream.tools.rebase import reset_offset
from stream.tools.state import StateLog
from tests.broker.conftest import Broker
from tests.broker.workers import WorkerProcess
from tests.stream.report import small

pytestmark = pytest.mark.broker

ROWS = 5


class Group:
    """A group whose changelog holds some rows of two partitions."""

    def __init__(self, broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)  # no settings but these
        self.broker = broker
        self.model = small.model()
        self.use(broker.name("g"), monkeypatch)
        self.topic = broker.topic("in", 2)
        monkeypatch.setenv("EMBER_INPUT__TOPICS", json.dumps([self.topic]))
        broker.create({self.changelog: 2})
        self.engine = Engine(self.model)
        self.broker.produce(
            self.topic, [Send(b"x", b"y", 0, p) for p in (0, 1) for _ in range(2 * ROWS)]
        )
        for partition, keys in ((0, (b"db-1", b"db-2")), (1, (b"web-1",))):
            self._absorb(partition, keys)

    def use(self, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.group = group
        monkeypatch.setenv("EMBER_KAFKA__GROUP", group)
        monkeypatch.setenv("EMBER_KAFKA__BOOTSTRAP_SERVERS", self.broker.bootstrap)

    @property
    def changelog(self) -> str:
        return f"{self.group}-state-{self.topic}-changelog"

    def _absorb(self, partition: int, keys: tuple[bytes, ...]) -> None:
        tp = self.topic, partition
        self.engine.attach(tp)
        n = ROWS * len(keys)
        channels = len(self.model.channels)
        rng = np.random.default_rng(partition)
        batch = Decoded(
            [keys[i % len(keys)] for i in range(n)],
            1_700_000_000_000_000 + np.arange(n) * 10_000_000,
            rng.standard_normal((n, channels)),
            np.arange(n, dtype=np.int32),
            [],
        )
        stamps = np.full(n, 1_700_000_000_000, dtype=np.int64)
        self.engine.step(tp, batch, SliceOffsets(np.arange(n, dtype=np.int64), stamps))
        meta = self.engine.meta(tp)
        meta.topic_id, meta.partition_count = "", 2
        dirty = self.engine.take_dirty(tp)
        headers = [("ember.committed", b"-1")]
        self.broker.produce(
            self.changelog,
            [
                Send(k, r, 0, partition, headers if k == META_KEY else ())
                for k, r in zip(dirty.keys, dirty.rows, strict=True)
            ],
        )

    def recovered(self, partitions: Iterable[int] = (0, 1)) -> Engine:
        """What a worker would find."""
        engine = Engine(self.model)
        for partition in partitions:
            engine.attach((self.topic, partition))
            records: list[Any] = [
                record
                for record in self.broker.consume_all(self.changelog)
                if record.partition == partition
            ]
            Changelog(engine, Observer()).load((self.topic, partition), records)
        return engine


@pytest.fixture
def group(broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Group:
    return Group(broker, monkeypatch, tmp_path)


def test_a_key_is_shown_field_by_field(group: Group, capsys: pytest.CaptureFixture[str]) -> None:
    show("db-2", json=True)
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["topic"], found["partition"], found["offset"]) == (group.topic, 0, 2 * ROWS - 1)
    assert found["fields"]["rows"] == ROWS
    assert len(found["fields"]["norm_mean"]) == len(group.model.channels)
    assert found["channels"] == list(group.model.channels)
    assert "warms up until row" in found["standing"][0]
    show("db-2")
    text = capsys.readouterr().out
    assert "norm_mean" in text
    assert "Unknown to the model" in text
    with pytest.raises(UserError, match="Nothing is remembered of key 'db-3'"):
        show("db-3")


def test_a_key_that_is_reset_is_forgotten_and_no_other(group: Group) -> None:
    with pytest.raises(UserError, match="--yes"):
        reset(["db-1"])
    assert group.recovered().row((group.topic, 0), b"db-1") is not None
    with pytest.raises(UserError, match="nobody"):
        reset(["db-1", "nobody"], yes=True)
    reset(["db-1"], yes=True)
    engine = group.recovered()
    assert engine.row((group.topic, 0), b"db-1") is None
    for partition, key in ((0, b"db-2"), (1, b"web-1")):
        tp = group.topic, partition
        assert engine.row(tp, key) == group.engine.row(tp, key)


def test_a_file_brings_the_state_to_another_group(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "state.jsonl"
    export(file)
    with pytest.raises(UserError, match="there already"):
        export(file)
    with pytest.raises(UserError, match="has state"):
        import_(file, yes=True)
    group.use(group.broker.name("other"), monkeypatch)
    group.broker.create({group.changelog: 2})
    with pytest.raises(UserError, match="--yes"):
        import_(file)
    import_(file, yes=True)
    engine = group.recovered()
    for partition, key in ((0, b"db-1"), (0, b"db-2"), (1, b"web-1")):
        tp = group.topic, partition
        assert engine.row(tp, key) == group.engine.row(tp, key) is not None
        assert engine.meta(tp) == group.engine.meta(tp)


def test_a_file_that_is_none_is_named_with_its_line(group: Group, tmp_path: Path) -> None:
    file = tmp_path / "wrong.jsonl"
    file.write_text('{"topic": "in", "partition": 0, "key": "eA==", "row": "?"}\n')
    with pytest.raises(UserError, match="line 1"):
        import_(file, yes=True)


def test_what_fits_is_left_alone(group: Group, capsys: pytest.CaptureFixture[str]) -> None:
    before = group.broker.consume_all(group.changelog)
    rebase(yes=True)
    assert "nothing to do" in capsys.readouterr().err
    assert len(group.broker.consume_all(group.changelog)) == len(before)


def test_after_a_rebase_keys_remember_and_stand_where_they_are_told(
    group: Group, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="3 keys would keep their memory"):
        rebase(at="earliest")
    assert "goes on at 0" in capsys.readouterr().err
    rebase(at="earliest", yes=True)
    engine = group.recovered()
    for partition, key in ((0, b"db-1"), (0, b"db-2"), (1, b"web-1")):
        tp = group.topic, partition
        assert engine.meta(tp).absorbed == -1
        assert engine.meta(tp).counts == {}
        row, old = engine.row(tp, key), group.engine.row(tp, key)
        assert row is not None
        assert old is not None
        assert int.from_bytes(row[16:24], "little", signed=True) == -1
        assert (row[:16], row[24:]) == (old[:16], old[24:])


def test_the_group_goes_on_where_it_is_told(
    group: Group, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the embedded broker takes no offsets from us, the state alone says so."""
    rebase(at="earliest", yes=True)
    offsets = committed_offsets(group.broker.bootstrap, group.group, group.topic)
    assert offsets == ([0, 0] if group.broker.real else [None, None])
    capsys.readouterr()
    rebase(yes=True)
    assert "nothing to do" in capsys.readouterr().err


def test_keys_go_where_producers_put_them_now(
    group: Group, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were where murmur2 puts them; one has begun anew elsewhere already, with older events.

    The chosen key's newest row is the one that stays, also where the other one is at home.
    """
    earlier = group.engine
    strayed = next(key for key in (b"db-1", b"db-2") if crc32(key, 2) == 1)
    group.engine = Engine(group.model)
    group._absorb(1, (strayed,))
    with pytest.raises(UserError, match="3 keys would keep their memory"):
        rebase(partitioner="crc32")
    said = capsys.readouterr().err
    assert "go where crc32 puts them" in said
    assert "1 keys have several rows" in said
    rebase(partitioner="crc32", yes=True)
    engine = group.recovered()
    assert engine.active_keys == 3
    for key in (b"db-1", b"db-2", b"web-1"):
        row = engine.row((group.topic, crc32(key, 2)), key)
        old = earlier.row((group.topic, murmur2(key, 2)), key)
        assert row is not None
        assert old is not None
        assert row[24:] == old[24:]
    capsys.readouterr()
    rebase(partitioner="crc32", yes=True)
    assert "nothing to do" in capsys.readouterr().err


def test_what_a_worker_writes_as_it_ends_is_seen(
    group: Group, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its session is waited out before anything is read."""
    tp, keys = (group.topic, 0), [b"late-1", b"late-2"]
    row = group.engine.row(tp, b"db-1")
    assert row is not None

    def last_checkpoint(_: StateLog) -> None:
        if keys:
            group.broker.produce(group.changelog, [Send(keys.pop(0), row, 0, 0)])

    monkeypatch.setattr(StateLog, "require_idle", last_checkpoint)
    reset(["late-1"], yes=True)
    rebase(at="earliest", yes=True)
    engine = group.recovered()
    assert engine.row(tp, b"late-1") is None
    assert engine.row(tp, b"late-2") == reset_offset(row)
    file = tmp_path / "state.jsonl"
    export(file)
    group.use(group.broker.name("other"), monkeypatch)
    group.broker.create({group.changelog: 2})
    keys.append(b"late-3")
    with pytest.raises(UserError, match="has state"):
        import_(file, yes=True)


def test_keys_follow_their_partition_when_the_topic_has_more(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from confluent_kafka.admin import AdminClient, NewPartitions

    group = Group(kafka, monkeypatch, tmp_path)  # keys where murmur2 puts them
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for done in admin.create_partitions([NewPartitions(group.topic, 7)]).values():
        done.result(20)
    rebase(yes=True)
    engine = group.recovered(range(7))
    for key in (b"db-1", b"db-2", b"web-1"):
        old = group.engine.row((group.topic, murmur2(key, 2)), key)
        row = engine.row((group.topic, murmur2(key, 7)), key)
        assert row is not None
        assert old is not None
        assert row[24:] == old[24:]
    assert engine.active_keys == 3  # and nowhere else


@pytest.mark.kafka
def test_a_tool_that_hangs_in_its_write_keeps_no_worker_from_starting(
    kafka: Broker, tmp_path: Path
) -> None:
    """It learns that it was too late, and nothing of what it wrote is there."""
    topic, group = kafka.topic("in", 1), kafka.name("g")
    changelog = f"{group}-state-{topic}-changelog"
    kafka.create({changelog: 1}, {"cleanup.policy": "compact"})
    section = {"bootstrap_servers": kafka.bootstrap, "group": group}
    log = StateLog(Settings.model_validate({"kafka": section, "input": {"topics": [topic]}}))

    def write() -> None:
        with log.writing() as writer:
            writer.put(changelog, 0, b"key", b"row")
            writer.flush()
            with WorkerProcess(kafka, topic, group, tmp_path) as worker:
                worker.running().stop()

    with pytest.raises(UserError, match="not written"):
        write()
    assert kafka.read_changelog(changelog) == {}


YEARS = 10 * 365 * 86_400 * 1_000_000


def _poisoned(group: Group) -> None:
    """Partition 0 as an earlier version left it: a clock ten years ahead, and a key that is."""
    tp = group.topic, 0
    engine = group.engine
    batch = Decoded(
        [b"\xff\x00", b"db-1"],
        np.array([1_700_000_000_000_000 + YEARS, 1_700_000_100_000_000]),
        np.ones((2, len(group.model.channels))),
        np.arange(2, dtype=np.int32),
        [],
    )
    offsets = np.array([2 * ROWS, 2 * ROWS + 1], dtype=np.int64)
    engine.step(tp, batch, SliceOffsets(offsets, np.full(2, 2**43)))
    dirty = engine.take_dirty(tp)
    headers = [("ember.committed", b"10")]
    group.broker.produce(
        group.changelog,
        [
            Send(k, r, 0, 0, headers if k == META_KEY else ())
            for k, r in zip(dirty.keys, dirty.rows, strict=True)
        ],
    )


def test_clocks_that_are_ahead_are_shown_and_set_back(
    group: Group, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keys have learnt stays; the position, and what the group had committed, too."""
    now = 1_700_000_200
    monkeypatch.setattr("stream.cli.state_clock.time.time", lambda: float(now))
    _poisoned(group)
    before = {key: group.recovered().row((group.topic, 0), key) for key in (b"db-1", b"db-2")}
    clock(json=True)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["clock"], first["ahead"]) == ("2033-11-11T22:13:20Z", True)
    assert set(first["keys_ahead"]) == {r"\xff\x00", "db-1"}  # sent while the clock was ahead
    assert (second["partition"], second["ahead"], second["keys_ahead"]) == (1, False, [])
    show(r"\xff\x00", json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["key"] == r"\xff\x00"
    assert shown["last_record"] == shown["partition_clock"] == "2033-11-11T22:13:20Z"

    with pytest.raises(UserError, match="1 partitions and 2 keys would be set back"):
        clock(reset=True)
    clock(reset=True, yes=True)
    engine = group.recovered()
    tp = group.topic, 0
    assert engine.meta(tp).clock_us == 1_700_000_100_000_000
    assert engine.meta(tp).absorbed == 2 * ROWS + 1
    assert engine.row(tp, b"db-2") == before[b"db-2"]
    capsys.readouterr()
    show(r"\xFF\x00", json=True)  # either case is read
    fields = json.loads(capsys.readouterr().out)["fields"]
    assert fields["last_time"] == fields["seen"] == 1_700_000_100_000_000
    show("db-1", json=True)
    fields = json.loads(capsys.readouterr().out)["fields"]
    assert fields["last_time"] == fields["seen"] == 1_700_000_100_000_000
    assert StateLog(Settings.load()).read(group.topic)[0].committed_before == 10
    clock(reset=True, yes=True)
    assert "nothing to do" in capsys.readouterr().err


def test_a_key_of_any_bytes_is_forgotten_by_the_text_it_is_shown_as(group: Group) -> None:
    _poisoned(group)
    reset([r"\xff\x00"], yes=True)
    assert group.recovered().row((group.topic, 0), b"\xff\x00") is None


def _sent(key: bytes | None, partition: int, name: str = "") -> Send:
    values = dict.fromkeys(small.CHANNELS, 5.0)
    body = {"ts": 1_700_001_000, "values": values, "name": name}
    return Send(key, json.dumps(body).encode(), 0, partition)


@pytest.mark.parametrize("own_key", [False, True])
def test_keys_go_where_their_newest_records_are(
    group: Group,
    own_key: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever put them there; by the record's own key too. One without a record stays."""
    if own_key:
        copy.copy(group.model).save(Path("model"))  # a saved model has another digest
        monkeypatch.setenv("EMBER_INPUT__KEY", "name")
        monkeypatch.setenv("EMBER_INPUT__KEY_FROM", "record")
    names = ["db-1", "web-1", "db-1", "unknown"]
    for name, partition in zip(names, (0, 0, 1, 1), strict=True):
        key = b"hash" if own_key else name.encode()
        group.broker.produce(group.topic, [_sent(key, partition, name)])
        time.sleep(0.005)  # the broker stamps the records: none at the time of another
    monkeypatch.setattr("stream.tools.newest_records._FIRST_RECORDS", 1)
    with pytest.raises(UserError, match="3 keys would keep their memory"):
        rebase(partitioner="newest")
    assert "go where their newest records are" in capsys.readouterr().err
    rebase(partitioner="newest", yes=True)
    engine = group.recovered()
    for key, home, partition in ((b"db-1", 0, 1), (b"web-1", 1, 0), (b"db-2", 0, 0)):
        row, old = (
            e.row((group.topic, p), key) for e, p in ((engine, partition), (group.engine, home))
        )
        assert row is not None
        assert old is not None
        assert row[24:] == old[24:]
    assert engine.active_keys == 3
    capsys.readouterr()
    rebase(partitioner="newest", yes=True)
    assert "nothing to do" in capsys.readouterr().err
