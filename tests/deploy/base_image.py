"""A stand-in for the image `python:*-slim-bookworm` where no registry can be reached.

The same Debian by debootstrap, and a Python of this machine in `/usr/local`, where the official
image has its own. Names and paths are those of the real one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LIBRARIES: Final = (
    "ca-certificates,netbase,tzdata,libbz2-1.0,libexpat1,libffi8,liblzma5,libncursesw6,"
    "libreadline8,libsqlite3-0,libssl3,zlib1g"
)
_NEEDLESS: Final = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man")


def python_home() -> Path | None:
    """Folder of the newest Python of this machine that can be copied to another place."""
    managed = Path.home() / ".pyenv" / "versions"
    homes = [Path(sys.base_prefix), *managed.glob("3.*")]
    fitting = [
        (_version(home), home)
        for home in homes
        if home != Path("/usr")
        and (home / "bin" / "python3").exists()
        and _version(home) >= (3, 11)
    ]
    return max(fitting)[1] if fitting else None


def make_root(root: Path, home: Path) -> None:
    """Write the files of the image.

    Args:
        root: A folder that is not there yet.
        home: Folder of the Python to copy.
    """
    command = ["debootstrap", "--variant=minbase", f"--include={_LIBRARIES}", "bookworm", str(root)]
    _run(command)
    for name in _NEEDLESS:
        shutil.rmtree(root / name, ignore_errors=True)
    local = root / "usr" / "local"
    shutil.copytree(home, local, symlinks=True, dirs_exist_ok=True, ignore=_left_out)
    for script in _scripts(local / "bin"):
        lines = script.read_bytes().split(b"\n", 1)
        script.write_bytes(b"#!/usr/local/bin/python3\n" + lines[1])
    _run(["ldconfig", "-r", str(root)])


def _version(home: Path) -> tuple[int, int]:
    """Return major and minor version of the Python in a folder, (0, 0) where it is none."""
    for library in (home / "lib").glob("python3.*"):
        number = library.name.removeprefix("python3.")
        if number.isdigit() and (library / "os.py").exists():
            return 3, int(number)
    return 0, 0


def _left_out(folder: str, names: list[str]) -> list[str]:
    """Return what the official image leaves out too, and what this machine has added."""
    here = Path(folder)
    if here.name == "site-packages":
        return [name for name in names if not name.startswith("pip")]
    needless = {"__pycache__", "test", "idlelib", "turtledemo"}
    return [name for name in names if name in needless or name.endswith(".a")]


def _scripts(folder: Path) -> Iterator[Path]:
    """Yield the scripts that Python runs."""
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                if b"python" in stream.readline(200) and path.stat().st_size < 100_000:
                    yield path


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{command[0]} did not make the base image. Received: exit status {done.returncode}, "
            f"{(done.stdout + done.stderr)[-2000:]}"
        )
