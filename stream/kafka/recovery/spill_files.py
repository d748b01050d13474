"""Rows beyond `state.max_keys`: an SQLite file per partition, without a name and without a journal.

Nothing here outlives the process: the changelog is the state, this is memory that is not in RAM.
"""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from stream.engine.state.spill import Spilled
from stream.errors import UserError

P = ParamSpec("P")
T = TypeVar("T")

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


def _told(
    method: Callable[Concatenate[SpillFile, P], T],
) -> Callable[Concatenate[SpillFile, P], T]:
    """What the disk refuses, in a sentence for who can mend it.

    Rows are put away only when they are in the changelog, and what failed in the middle is not
    gone on with: the worker ends, and the next one has them from there.
    """

    @functools.wraps(method)
    def tells(file: SpillFile, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(file, *args, **kwargs)
        except (OSError, sqlite3.Error) as error:
            raise file.refused(error) from error

    return tells


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

    def refused(self, error: OSError | sqlite3.Error) -> UserError:
        """What to say of an error of the disk."""
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        directory, most = self._files.directory, self._files.max_bytes
        return UserError(
            f"Rows of keys beyond state.max_keys cannot be put on the disk: {why}. Expected a "
            "state.directory that can be written to, with room for state.max_disk_bytes. "
            f"Received: {directory}, max_disk_bytes={most}. Free disk space, name another folder, "
            "lower max_disk_bytes, or raise state.max_keys; nothing is lost."
        )

    @_told
    def used(self) -> int:
        """Bytes in use: pages that hold something."""
        if self._made is None:
            return 0
        (pages,) = self._db.execute("pragma page_count").fetchone()
        (free,) = self._db.execute("pragma freelist_count").fetchone()
        (size,) = self._db.execute("pragma page_size").fetchone()
        return int((pages - free) * size)

    @_told
    def put(self, rows: Sequence[Spilled]) -> list[bytes]:
        """As `stream.engine.state.spill.Spill`."""
        self._db.execute("begin")
        self._db.executemany(
            "insert or replace into rows values (?, ?, ?)",
            [(r.key, r.row, r.due_us if r.due_us < NEVER_US else None) for r in rows],
        )
        self._db.execute("commit")
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

    @_told
    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """As `stream.engine.state.spill.Spill`."""
        found: dict[bytes, bytes] = {}
        if not self._rows:
            return found
        for begin in range(0, len(keys), _ASKED):
            asked = keys[begin : begin + _ASKED]
            marks = ",".join("?" * len(asked))
            query = f"select key, row from rows where key in ({marks})"  # noqa: S608  # marks only
            found.update(self._db.execute(query, asked).fetchall())
        return found

    @_told
    def remove(self, keys: Sequence[bytes]) -> None:
        """As `stream.engine.state.spill.Spill`."""
        if not self._rows or not keys:
            return
        self._db.execute("begin")
        self._db.executemany("delete from rows where key = ?", [(key,) for key in keys])
        self._db.execute("commit")
        self._count()

    @_told
    def due(self, before_us: int) -> list[bytes]:
        """As `stream.engine.state.spill.Spill`."""
        if not self._rows:
            return []
        found = self._db.execute("select key from rows where due < ?", (before_us,)).fetchall()
        self._db.execute("update rows set due = null where due < ?", (before_us,))
        return [key for (key,) in found]

    @_told
    def next_due(self) -> int:
        """As `stream.engine.state.spill.Spill`."""
        if not self._rows:
            return NEVER_US
        (found,) = self._db.execute("select min(due) from rows where due is not null").fetchone()
        return NEVER_US if found is None else int(found)

    @_told
    def page(self, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """As `stream.engine.state.spill.Spill`."""
        if not self._rows:
            return []
        query = "select rowid, key, row from rows where rowid > ? order by rowid limit ?"
        return self._db.execute(query, (after, limit)).fetchall()

    @_told
    def last(self) -> int:
        """As `stream.engine.state.spill.Spill`."""
        if not self._rows:
            return 0
        (found,) = self._db.execute("select max(rowid) from rows").fetchone()
        return int(found or 0)

    def _count(self) -> None:
        (self._rows,) = self._db.execute("select count(*) from rows").fetchone()

    def close(self) -> None:
        """As `stream.engine.state.spill.Spill`."""
        if self._made is not None:
            self._made.close()
        self._files.closed(self)


def _make(directory: Path) -> sqlite3.Connection:
    """An empty file without a name: it lives as long as it is open."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=directory, prefix="rows-", delete=False) as made:
        path = Path(made.name)
    try:
        db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=off", "synchronous=off", "locking_mode=exclusive"):
            db.execute(f"pragma {pragma}")
        db.execute("create table rows (key blob unique, row blob, due integer)")
        db.execute("create index due on rows (due) where due is not null")
    finally:
        path.unlink()
    return db
