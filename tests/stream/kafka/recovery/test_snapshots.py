"""Files of the state on local disk: whole or not there, and used only where they fit."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stream.engine import META_KEY, MetaRow, RowBlock
from stream.kafka.protocol.changelog import Changelog
from stream.kafka.protocol.ports import TopicStatus
from stream.kafka.protocol.positions import Positions
from stream.kafka.recovery.snapshot_files import DamagedError, Head, SnapshotFiles
from stream.kafka.recovery.snapshots import Snapshots
from stream.observer import Observer
from tests.simulation.tiny import TinyEngine
from tests.stream.kafka.fakes import make_context

IN = ("in", 3)
ROOT = Path(__file__).resolve().parents[4]


LOG = ("g-state-in-changelog", 3)


def head(**more: Any) -> Head:
    known = {
        "changelog_id": "id", "offset": 5, "taken": 0.0, "model": "m", "fields": [], "row_bytes": 7,
    }  # fmt: skip
    return Head(**{**known, **more})


def block(first: int, n: int) -> RowBlock:
    rows = np.arange(n * 7, dtype=np.uint8).reshape(n, 7) + first
    return RowBlock([b"key-%d" % (first + i) for i in range(n)], rows.astype(np.uint8))


def written(files: SnapshotFiles) -> bytes:
    writer = files.write(IN, head())
    writer.append(block(0, 5))
    writer.append(block(5, 3))
    writer.commit(b"meta", 4)
    return files.path(IN).read_bytes()


def read(files: SnapshotFiles) -> list[RowBlock]:
    reader = files.read(IN)
    assert reader is not None
    try:
        found = []
        while (got := reader.block()) is not None:
            found.append(RowBlock(got.keys, got.rows.copy()))
        assert reader.end is not None
        assert (reader.end.meta, reader.end.committed_before) == (b"meta", 4)
        return found
    finally:
        reader.close()


def test_a_file_gives_what_was_written(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path / "new")
    written(files)
    for got, want in zip(read(files), (block(0, 5), block(5, 3)), strict=True):
        assert got.keys == want.keys
        np.testing.assert_array_equal(got.rows, want.rows)
    assert [path.name for path in files.directory.iterdir()] == ["in-3.snapshot"]


def test_every_cut_and_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    whole = written(files)
    for length in range(len(whole)):
        files.path(IN).write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            read(files)
    for at in range(0, len(whole), 3):
        files.path(IN).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedError):
            read(files)


def test_a_file_that_was_not_finished_leaves_the_former_one(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    whole = written(files)
    writer = files.write(IN, head(offset=9))
    writer.append(block(0, 5))
    assert files.path(IN).read_bytes() == whole
    writer.discard()
    assert files.path(IN).read_bytes() == whole
    assert len(list(tmp_path.iterdir())) == 1


def test_a_kill_in_mid_write_leaves_the_former_file_usable(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    whole = written(files)
    script = (
        "from pathlib import Path; import sys, time\n"
        "from tests.stream.kafka.recovery.test_snapshots import *\n"
        "writer = SnapshotFiles(Path(sys.argv[1])).write(IN, head(offset=9))\n"
        "for i in range(10_000): writer.append(block(0, 5))\n"
        "print('half', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"half\n"
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    (left,) = tmp_path.glob("*.tmp")
    assert left.stat().st_size > 0
    assert files.path(IN).read_bytes() == whole
    assert len(read(files)) == 2
    files.sweep()
    assert not list(tmp_path.glob("*.tmp"))


def test_what_cannot_be_swept_stays_and_stops_nothing(tmp_path: Path) -> None:
    """As on a disk that is read-only, or another user's, and for root too."""
    names = [tmp_path / f"{name}.snapshot.{os.getpid()}.tmp" for name in ("a", "b", "c")]
    for path in names:
        path.touch()
    names[1].unlink()
    names[1].mkdir()
    SnapshotFiles(tmp_path).sweep()
    assert list(tmp_path.iterdir()) == [names[1]]


# -- the worker's side


class Worker:
    """As much of a worker as copies need; its log is a list."""

    def __init__(self, directory: Path, max_keys: int = 64) -> None:
        self.now = 1_000.0
        self.topic_id: str = "id-1"
        self.kept: float | None = 86_400.0
        self.engine = TinyEngine(max_keys)
        self.engine.attach(IN)
        self.changelog = Changelog(self.engine, Observer())
        self.checkpoint = SimpleNamespace(taken={})
        self.files = SnapshotFiles(directory)
        context = make_context(
            admin=self, clock=lambda: 0.0, wall_clock=lambda: self.now, offload=self.offload
        )
        checkpoint: Any = self.checkpoint
        self.snapshots = Snapshots(
            context, self.files, self.engine, self.changelog, Positions(), checkpoint
        )

    async def offload(self, do: Callable[[], Any]) -> Any:
        return do()

    async def describe(self, topics: Sequence[str]) -> Mapping[str, TopicStatus]:
        return {topic: TopicStatus(4, self.topic_id) for topic in topics}

    async def tombstones_kept(self, topics: Sequence[str]) -> Mapping[str, float]:
        return {} if self.kept is None else dict.fromkeys(topics, self.kept)

    async def restore(self, end: int = 100) -> int | None:
        return (await self.snapshots.restore({LOG: end}, {})).get(LOG)

    def absorb(self, keys: Sequence[bytes], absorbed: int) -> dict[bytes, bytes]:
        """Rows as a former worker's changelog would bring them; gives them."""
        maker = TinyEngine()
        maker.attach(IN)
        rows = {}
        for key in keys:
            row = maker._store.initial_row(key).copy()
            maker.layout.views(row[None])["offset"][0] = absorbed
            rows[key] = row.tobytes()
        meta = MetaRow(absorbed=absorbed, first_offset=0)
        self.engine.load(IN, [*rows, META_KEY], [*rows.values(), meta.encode()])
        self.changelog.wrote(IN, absorbed, 0, absorbed + 1, meta.encode())
        return rows


@pytest.fixture
async def former(tmp_path: Path) -> Worker:
    """A worker that has left a copy of three keys."""
    worker = Worker(tmp_path)
    await worker.restore()
    worker.rows = worker.absorb([b"a", b"b", b"c"], 41)  # type: ignore[attr-defined]
    assert await worker.snapshots.write(IN)
    return worker


async def test_the_next_worker_begins_where_the_copy_ends(former: Worker, tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.now += 60.0
    assert await worker.restore() == 41
    assert {k: worker.engine.row(IN, k) for k in (b"a", b"b", b"c")} == former.rows  # type: ignore[attr-defined]
    assert worker.engine.meta(IN).absorbed == 41
    assert worker.changelog.stored(IN) == 41
    assert worker.changelog.committed_before(IN) == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"topic_id": "id-2"}, "another changelog topic"),
        ({"topic_id": ""}, "another changelog topic"),
        ({"kept": None}, "DescribeConfigs"),
        ({"kept": 600.0}, "s old by this host's clock"),
        ({"now": 1_000.0 - 3_600.0}, "s old by this host's clock"),  # the clock was set back
        ({"end": 41}, "ends at 41"),
        ({"model": "8" * 64}, "another model or layout"),
        ({"damage": 1}, "cannot be read"),
    ],
)
async def test_a_copy_that_does_not_fit_is_put_aside_with_one_warning(
    former: Worker, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Any, why: str
) -> None:
    worker = Worker(tmp_path)
    worker.now += 500.0
    for name in ("topic_id", "kept", "now"):
        setattr(worker, name, change.get(name, getattr(worker, name)))
    if "model" in change:
        worker.engine.model.sha256 = change["model"]
    if "damage" in change:
        path = worker.files.path(IN)
        whole = path.read_bytes()
        path.write_bytes(whole[:-40] + b"x" + whole[-39:])
    assert await worker.restore(change.get("end", 100)) is None
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert why in said
    assert worker.engine.keys(IN) == 0
    assert worker.changelog.stored(IN) is None
    assert not worker.files.path(IN).exists()


async def test_a_rebase_after_the_copy_is_noticed(former: Worker, tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    await worker.restore()
    changelog = worker.changelog

    def record(key: bytes, value: bytes | None) -> Any:
        return SimpleNamespace(key=key, value=value, offset=50, headers=())

    same, moved = MetaRow(absorbed=60), MetaRow(absorbed=7, rebased=1)
    assert not changelog.overtaken(IN, [record(b"a", b""), record(META_KEY, same.encode())])
    assert changelog.overtaken(IN, [record(META_KEY, moved.encode())])
    assert changelog.overtaken(IN, [record(META_KEY, None)])
    await worker.snapshots.overtaken(IN)
    assert worker.engine.keys(IN) == 0
    assert changelog.stored(IN) is None
    assert not changelog.overtaken(IN, [record(META_KEY, None)])


async def test_rows_not_in_the_log_yet_make_no_file(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    await worker.restore()
    worker.absorb([b"a", b"b"], 41)
    worker.engine._store.slab.dirty[worker.engine._parts[IN].index[b"b"]] = True
    assert not await worker.snapshots.write(IN)

    async def idle() -> None:
        """A checkpoint that has nothing to do with this partition."""

    async def checkpoint() -> None:
        worker.engine.take_dirty(IN)
        worker.checkpoint.taken[IN] = 1

    assert not await worker.snapshots.write(IN, idle)
    assert not worker.files.path(IN).exists()
    assert await worker.snapshots.write(IN, checkpoint)
    assert worker.files.path(IN).exists()
    assert not await worker.snapshots.write(IN, checkpoint)  # nothing has happened since


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
async def test_a_disk_that_is_full_or_closed_is_named_once(
    former: Worker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    whole = former.files.path(IN).read_bytes()

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(
        "stream.kafka.recovery.snapshot_files.SnapshotWriter.append"
        if number == errno.ENOSPC
        else "stream.kafka.recovery.snapshot_files.SnapshotFiles.write",
        refuse,
    )
    for absorbed in (43, 45):
        former.absorb([b"a"], absorbed)
        assert not await former.snapshots.write(IN)
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert os.strerror(number) in said
    assert "state.directory" in said
    assert former.files.path(IN).read_bytes() == whole
    monkeypatch.undo()
    assert await former.snapshots.write(IN)
