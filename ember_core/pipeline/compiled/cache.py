"""Folder of machine code, another one for every state of the sources: no code outlives them.

Numba looks at the file of a function only. It would keep code that holds an older form of a
function, or of a constant, of another file. So the folder is named after the digest of all sources
that compiled code may hold.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

VARIABLE: Final = "NUMBA_CACHE_DIR"
"""Environment variable with the folder that machine code of all programs is kept in."""
_PREFIX: Final = "compiled-"
_SOURCES: Final = ("ops", "pipeline")
_KEPT_SECONDS: Final = 30 * 86_400.0


def sources_digest() -> str:
    """Return the digest of the sources that compiled code may hold, and of what compiles them."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for name in ("numba", "numpy"):
        digest.update(version(name).encode())
    for folder in _SOURCES:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder of the machine code of these sources.

    It lies in `NUMBA_CACHE_DIR`; else in the user's folder of caches (`XDG_CACHE_HOME`).
    """
    base = os.environ.get(VARIABLE)
    if not base:
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = str(Path(caches) / "ember-stream")
    return Path(base) / f"{_PREFIX}{sources_digest()}"


def is_writable(folder: Path) -> bool:
    """Return whether files can be written to a folder, which is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def remove_older(folder: Path) -> None:
    """Remove the code of other sources beside a folder, a month after it was made."""
    oldest = time.time() - _KEPT_SECONDS
    for other in folder.parent.glob(f"{_PREFIX}*"):
        if other != folder and other.stat().st_mtime < oldest:
            shutil.rmtree(other, ignore_errors=True)


def copy_missing(source: Path, folder: Path) -> None:
    """Copy code of these sources that came with an image to a folder that can be written to.

    Args:
        source: Folder of the image, as `NUMBA_CACHE_DIR` has it.
        folder: Folder to use from now on, of the same kind.
    """
    own = source / f"{_PREFIX}{sources_digest()}"
    target = folder / own.name
    if not own.is_dir() or target.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Renamed at last: a worker that starts meanwhile sees the whole of it, or nothing.
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        copied = shutil.copytree(own, Path(unfinished) / own.name)
        try:
            copied.rename(target)
        except OSError:  # another worker was faster
            return
