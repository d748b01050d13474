"""Jars from Maven Central, fetched once with Maven into a cache outside of the repository."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

_FETCH_SECONDS: Final = 600.0


class MavenError(RuntimeError):
    """Jars could not be fetched; the text says why."""


def fetched(name: str, artefacts: tuple[str, ...], alone: tuple[str, ...] = ()) -> Path:
    """Folder of artefacts and all they need, fetched at the first call.

    Args:
        name: Name of the folder, below `~/.cache/ember-stream` (or `$XDG_CACHE_HOME`).
        artefacts: `group:artefact:version` of each.
        alone: More of them, without what they say they need.

    Raises:
        MavenError: If there is no Maven or the fetch fails.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = cache / "ember-stream" / name
    if target.is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise MavenError(f"no jars of {name} in the cache and no Maven (mvn) to fetch them")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        (Path(scratch) / "pom.xml").write_text(_pom(artefacts, alone))
        try:
            process = subprocess.run(
                [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"],
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=_FETCH_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MavenError(f"Maven did not fetch {name} in ten minutes") from None
        if process.returncode != 0:
            last = (process.stdout + process.stderr).strip().splitlines()[-1:] or ["no output"]
            raise MavenError(f"Maven could not fetch {name}: {last[0]}")
        with contextlib.suppress(OSError):  # another process was faster
            (Path(scratch) / "jars").rename(target)
    return target


def _pom(artefacts: tuple[str, ...], alone: tuple[str, ...]) -> str:
    no_dependencies = (
        "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>"
        "</exclusions>"
    )
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>"
        "{}</dependency>".format(*artefact.split(":"), no_dependencies if artefact in alone else "")
        for artefact in (*artefacts, *alone)
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>dev.ember</groupId><artifactId>jars</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
