"""Apache Kafka's jars, fetched once with Maven, and the Java to run them.

They go into a cache outside the repository: `$EMBER_KAFKA_JARS` where set, else
`~/.cache/ember-stream/kafka-VERSION`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

VERSION: Final = "4.1.1"
_LOG4J_BINDING: Final = "2.24.3"
_JAVA_MAJOR: Final = 17
_FETCH_SECONDS: Final = 600.0

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.ember</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{_LOG4J_BINDING}</version>
    </dependency>
  </dependencies>
</project>
"""


class KafkaUnavailableError(RuntimeError):
    """This machine cannot run Apache Kafka; the text says why."""


def jars() -> Path:
    """Folder of Kafka's jars, fetched with Maven at the first call.

    Raises:
        KafkaUnavailableError: If Java or Maven is missing, or the fetch fails.
    """
    given = os.environ.get("EMBER_KAFKA_JARS")
    if given:
        if not any(Path(given).glob("kafka_2.13-*.jar")):
            raise KafkaUnavailableError(
                "EMBER_KAFKA_JARS has no Kafka. Expected a folder with kafka_2.13-*.jar. "
                f"Received: EMBER_KAFKA_JARS={given}."
            )
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = cache / "ember-stream" / f"kafka-{VERSION}"
    if target.is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailableError("no Kafka jars in the cache and no Maven (mvn) to fetch them")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        (Path(scratch) / "pom.xml").write_text(_POM)
        try:
            done = subprocess.run(
                [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"],
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=_FETCH_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise KafkaUnavailableError("Maven did not fetch Kafka in ten minutes") from None
        if done.returncode != 0:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no output"]
            raise KafkaUnavailableError(f"Maven could not fetch Kafka: {last[0]}")
        with contextlib.suppress(OSError):  # another process was faster
            (Path(scratch) / "jars").rename(target)
    return target


def java() -> str:
    """The Java to run Kafka with.

    Raises:
        KafkaUnavailableError: If there is none of at least version 17.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        raise KafkaUnavailableError(f"no Java: Kafka {VERSION} needs Java {_JAVA_MAJOR} or later")
    text = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', text)
    if match is None or int(match.group(1)) < _JAVA_MAJOR:
        raise KafkaUnavailableError(
            f"Java is too old: Kafka {VERSION} needs Java {_JAVA_MAJOR} or later"
        )
    return found
