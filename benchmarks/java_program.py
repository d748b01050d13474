"""A Java program that a measurement needs, compiled once beside its jars."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.kafka_jars import java
from benchmarks.maven import MavenError, fetched


def compiled(
    program: str,
    source: str,
    name: str,
    artefacts: tuple[str, ...],
    alone: tuple[str, ...] = (),
) -> str:
    """Class path with a Java program, compiled once beside the jars it needs.

    Args:
        program: Name of its class.
        source: Its text.
        name: Name of the jars' folder, as in `fetched`.
        artefacts: Maven coordinates it needs, as in `fetched`.
        alone: More of it, as in `fetched`.

    Raises:
        MavenError: If the jars or a compiler are missing, or it does not compile.
        KafkaUnavailableError: If there is no Java.
    """
    jars = fetched(name, artefacts, alone)
    compiler = shutil.which("javac") or str(Path(java()).with_name("javac"))
    if not Path(compiler).is_file():
        raise MavenError("no Java compiler (javac)")
    if not (jars / f"{program}.class").is_file():
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / f"{program}.java"
            file.write_text(source)
            words = [compiler, "-cp", str(jars / "*"), "-d", str(jars), str(file)]
            process = subprocess.run(words, capture_output=True, text=True, check=False)
        if process.returncode:
            raise MavenError(f"javac: {(process.stderr or 'no output').strip()[:200]}")
    return os.pathsep.join((str(jars), str(jars / "*")))
