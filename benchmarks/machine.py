"""Machine of a measurement: a figure without it says nothing."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.kafka_jars import VERSION as KAFKA_VERSION

_PACKAGES: Final = (
    "numpy",
    "aiokafka",
    "confluent-kafka",
    "faust-streaming",
    "msgspec",
    "torch",
)
_ROOT: Final = Path(__file__).resolve().parents[1]


def describe() -> dict[str, Any]:
    """Commit, processor, memory, system and versions; nothing that names the host."""
    return {
        "commit": commit(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_1m": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "packages": _versions(),
    }


def commit(root: Path = _ROOT) -> str:
    """Commit that a tree was checked out from, with ` dirty` where it has changed since.

    Results that are kept do not count, or the second one would always be dirty.

    Args:
        root: The repository.

    Returns:
        The commit; empty where there is no Git, or no repository.
    """

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            text=True,
            check=True,
            # an unpacked archive within another repository is not of that one
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent)},
        ).stdout.strip()

    try:
        head = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head} dirty" if changed else head


def _versions() -> dict[str, str]:
    """Versions of the packages that are installed."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _cpu_model() -> str:
    table = Path("/proc/cpuinfo")
    if table.is_file():
        for line in table.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
