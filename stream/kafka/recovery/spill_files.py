"""Rows beyond `state.max_keys`: an SQLite file per partition, without a name and a journal.

Nothing here outlives the process: the changelog is the state, these files only extend memory.
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
_QUERY_KEYS = 500
"""Keys in one query; SQLite's own limit is at least 999."""
_FORGOTTEN = 256
"""Rows forgotten at once where the disk is full."""


class SpillFiles:
    """Files of evicted rows, one a partition; all together stay within a number of bytes.

    Nothing is written before a row has to go: a fleet that fits into memory needs no disk.

    Args:
        directory: Folder of the files; made when it is needed.
        max_bytes: Most bytes of all files together.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._open: list[SpillFile] = []

    def __call__(self) -> SpillFile:
        """Make a file for one more partition."""
        file = SpillFile(self)
        self._open.append(file)
        return file

    def used(self) -> int:
        """Return the bytes of all files."""
        return sum(file.used() for file in self._open)

    def closed(self, file: SpillFile) -> None:
        """Forget a closed file."""
        self._open.remove(file)


def _refusing(
    method: Callable[Concatenate[SpillFile, P], T],
) -> Callable[Concatenate[SpillFile, P], T]:
    """Turn an error of the disk into a sentence that names the fix.

    Rows are evicted only when they are in the changelog. A step that failed in the middle is not
    continued: the worker ends, and the next one reads the rows from there.
    """

    @functools.wraps(method)
    def wrapper(file: SpillFile, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(file, *args, **kwargs)
        except (OSError, sqlite3.Error) as error:
            raise file.refused(error) from error

    return wrapper


class SpillFile:
    """Evicted rows of one partition.

    Args:
        files: All files of this worker.
    """

    def __init__(self, files: SpillFiles) -> None:
        self._files = files
        self._rows = 0
        self._opened: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = _open_database(self._files.directory)
        return self._opened

    def __len__(self) -> int:
        return self._rows

    def refused(self, error: OSError | sqlite3.Error) -> UserError:
        """Return the error for an operation that the disk refused."""
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        directory, max_bytes = self._files.directory, self._files.max_bytes
        return UserError(
            f"Rows of keys beyond state.max_keys cannot be put on the disk: {reason}. Expected a "
            "state.directory that can be written to, with room for state.max_disk_bytes. "
            f"Received: {directory}, max_disk_bytes={max_bytes}. Free disk space, name another "
            "folder, lower max_disk_bytes, or raise state.max_keys; nothing is lost."
        )

    @_refusing
    def used(self) -> int:
        """Return the bytes of pages in use."""
        if self._opened is None:
            return 0
        (pages,) = self._db.execute("pragma page_count").fetchone()
        (free,) = self._db.execute("pragma freelist_count").fetchone()
        (size,) = self._db.execute("pragma page_size").fetchone()
        return int((pages - free) * size)

    @_refusing
    def put(self, rows: Sequence[Spilled]) -> list[tuple[bytes, bytes]]:
        """Implement `stream.engine.state.spill.Spill`."""
        self._db.execute("begin")
        self._db.executemany(
            "insert or replace into rows values (?, ?, ?)",
            [(r.key, r.row, r.due_us if r.due_us < NEVER_US else None) for r in rows],
        )
        self._db.execute("commit")
        self._count()
        forgotten: list[tuple[bytes, bytes]] = []
        # Row ids rise with every eviction, so the lowest are the longest idle.
        while self._rows and self._files.used() > self._files.max_bytes:
            forgotten += self._forget_oldest()
        return forgotten

    def _forget_oldest(self) -> list[tuple[bytes, bytes]]:
        oldest: list[tuple[bytes, bytes]] = self._db.execute(
            "select key, row from rows order by rowid limit ?", (_FORGOTTEN,)
        ).fetchall()
        self.remove([key for key, _ in oldest])
        return oldest

    @_refusing
    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Implement `stream.engine.state.spill.Spill`."""
        rows: dict[bytes, bytes] = {}
        if not self._rows:
            return rows
        for begin in range(0, len(keys), _QUERY_KEYS):
            some_keys = keys[begin : begin + _QUERY_KEYS]
            marks = ",".join("?" * len(some_keys))
            query = f"select key, row from rows where key in ({marks})"  # noqa: S608  # marks only
            rows.update(self._db.execute(query, some_keys).fetchall())
        return rows

    @_refusing
    def remove(self, keys: Sequence[bytes]) -> None:
        """Implement `stream.engine.state.spill.Spill`."""
        if not self._rows or not keys:
            return
        self._db.execute("begin")
        self._db.executemany("delete from rows where key = ?", [(key,) for key in keys])
        self._db.execute("commit")
        self._count()

    @_refusing
    def due(self, before_us: int) -> list[bytes]:
        """Implement `stream.engine.state.spill.Spill`."""
        if not self._rows:
            return []
        due_rows = self._db.execute("select key from rows where due < ?", (before_us,)).fetchall()
        self._db.execute("update rows set due = null where due < ?", (before_us,))
        return [key for (key,) in due_rows]

    @_refusing
    def next_due(self) -> int:
        """Implement `stream.engine.state.spill.Spill`."""
        if not self._rows:
            return NEVER_US
        query = "select min(due) from rows where due is not null"
        (due_us,) = self._db.execute(query).fetchone()
        return NEVER_US if due_us is None else int(due_us)

    @_refusing
    def page(self, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Implement `stream.engine.state.spill.Spill`."""
        if not self._rows:
            return []
        query = "select rowid, key, row from rows where rowid > ? order by rowid limit ?"
        return self._db.execute(query, (after, limit)).fetchall()

    @_refusing
    def last(self) -> int:
        """Implement `stream.engine.state.spill.Spill`."""
        if not self._rows:
            return 0
        (row_id,) = self._db.execute("select max(rowid) from rows").fetchone()
        return int(row_id or 0)

    def _count(self) -> None:
        (self._rows,) = self._db.execute("select count(*) from rows").fetchone()

    def close(self) -> None:
        """Implement `stream.engine.state.spill.Spill`."""
        if self._opened is not None:
            self._opened.close()
        self._files.closed(self)


def _open_database(directory: Path) -> sqlite3.Connection:
    """Open an empty database without a name: it lives as long as it is open."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=directory, prefix="rows-", delete=False) as file:
        path = Path(file.name)
    try:
        db = sqlite3.connect(path, isolation_level=None)
        # No crash safety is needed, since the file dies with the process.
        for pragma in ("journal_mode=off", "synchronous=off", "locking_mode=exclusive"):
            db.execute(f"pragma {pragma}")
        db.execute("create table rows (key blob unique, row blob, due integer)")
        db.execute("create index due on rows (due) where due is not null")
    finally:
        # The open file stays usable on POSIX, and nothing is left behind by a kill.
        path.unlink()
    return db
