"""Rows beyond `state.max_keys`: an SQLite file per partition, without a name and without a journal.

Nothing here outlives the process: the changelog is the state, this is memory that is not in RAM.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stream.engine.spill import Spilled
from stream.errors import UserError

NEVER_US = 2**62
_ASKED = 500
"""Keys in one question; SQLite's own limit is at least 999."""
_FORGOTTEN = 256
"""Rows forgotten at once where the disk is full."""


class SpillFiles:
    """Makes a file per partition; all together stay within a number of bytes.

    Nothing is written before a row has to go: a fleet that fits into memory needs no disk.

    Args:
        directory: Where to; made when it is needed.
        max_bytes: Of all files together.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._open: list[SpillFile] = []

    def __call__(self) -> SpillFile:
        """A file for one more partition."""
        made = SpillFile(self)
        self._open.append(made)
        return made

    def used(self) -> int:
        """Bytes of all files."""
        return sum(file.used() for file in self._open)

    def closed(self, file: SpillFile) -> None:
        """One less."""
        self._open.remove(file)


class SpillFile:
    """Rows of one partition.

    Args:
        files: All files of this worker.
    """

    def __init__(self, files: SpillFiles) -> None:
        self._files = files
        self._rows = 0
        self._made: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._made is None:
            self._made = _make(self._files.directory)
        return self._made

    def __len__(self) -> int:
        return self._rows

    def used(self) -> int:
        """Bytes in use: pages that hold something."""
        if self._made is None:
            return 0
        (pages,) = self._db.execute("pragma page_count").fetchone()
        (free,) = self._db.execute("pragma freelist_count").fetchone()
        (size,) = self._db.execute("pragma page_size").fetchone()
        return int((pages - free) * size)

    def put(self, rows: Sequence[Spilled]) -> list[bytes]:
        """As `stream.engine.spill.Spill`."""
        try:
            self._db.execute("begin")
            self._db.executemany(
                "insert or replace into rows values (?, ?, ?)",
                [(r.key, r.row, r.due_us if r.due_us < NEVER_US else None) for r in rows],
            )
            self._db.execute("commit")
        except sqlite3.OperationalError as error:
            raise UserError(
                f"Rows beyond state.max_keys could not be written to state.directory: {error}. "
                "Free disk space, lower state.max_disk_bytes, or raise state.max_keys."
            ) from error
        self._count()
        forgotten: list[bytes] = []
        while self._rows and self._files.used() > self._files.max_bytes:
            forgotten += self._forget_oldest()
        return forgotten

    def _forget_oldest(self) -> list[bytes]:
        oldest = self._db.execute(
            "select key from rows order by rowid limit ?", (_FORGOTTEN,)
        ).fetchall()
        keys = [key for (key,) in oldest]
        self.remove(keys)
        return keys

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """As `stream.engine.spill.Spill`."""
        found: dict[bytes, bytes] = {}
        if not self._rows:
            return found
        for begin in range(0, len(keys), _ASKED):
            asked = keys[begin : begin + _ASKED]
            marks = ",".join("?" * len(asked))
            query = f"select key, row from rows where key in ({marks})"  # noqa: S608  # marks only
            found.update(self._db.execute(query, asked).fetchall())
        return found

    def remove(self, keys: Sequence[bytes]) -> None:
        """As `stream.engine.spill.Spill`."""
        if not self._rows or not keys:
            return
        self._db.execute("begin")
        self._db.executemany("delete from rows where key = ?", [(key,) for key in keys])
        self._db.execute("commit")
        self._count()

    def due(self, before_us: int) -> list[bytes]:
        """As `stream.engine.spill.Spill`."""
        if not self._rows:
            return []
        found = self._db.execute("select key from rows where due < ?", (before_us,)).fetchall()
        self._db.execute("update rows set due = null where due < ?", (before_us,))
        return [key for (key,) in found]

    def next_due(self) -> int:
        """As `stream.engine.spill.Spill`."""
        if not self._rows:
            return NEVER_US
        (found,) = self._db.execute("select min(due) from rows where due is not null").fetchone()
        return NEVER_US if found is None else int(found)

    def page(self, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """As `stream.engine.spill.Spill`."""
        if not self._rows:
            return []
        query = "select rowid, key, row from rows where rowid > ? order by rowid limit ?"
        return self._db.execute(query, (after, limit)).fetchall()

    def last(self) -> int:
        """As `stream.engine.spill.Spill`."""
        if not self._rows:
            return 0
        (found,) = self._db.execute("select max(rowid) from rows").fetchone()
        return int(found or 0)

    def _count(self) -> None:
        (self._rows,) = self._db.execute("select count(*) from rows").fetchone()

    def close(self) -> None:
        """As `stream.engine.spill.Spill`."""
        if self._made is not None:
            self._made.close()
        self._files.closed(self)


def _make(directory: Path) -> sqlite3.Connection:
    """An empty file without a name: it lives as long as it is open."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix="rows-", delete=False) as made:
            path = Path(made.name)
    except OSError as error:
        raise UserError(
            "Rows beyond state.max_keys cannot be put away. Expected state.directory to be a "
            f"folder that can be written to. Received: {directory} ({error.strerror}). Raise "
            "state.max_keys, or set state.max_disk_bytes = 0 to refuse new keys."
        ) from error
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=off", "synchronous=off", "locking_mode=exclusive"):
        db.execute(f"pragma {pragma}")
    db.execute("create table rows (key blob unique, row blob, due integer)")
    db.execute("create index due on rows (due) where due is not null")
    path.unlink()
    return db
