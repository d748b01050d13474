"""Apache Kafka's jars, fetched once with Maven, and the Java to run them.

They go into a cache outside the repository: `$EMBER_KAFKA_JARS` where set, else
`~/.cache/ember-stream/kafka-VERSION`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.maven import MavenError, fetched

VERSION: Final = "4.1.1"
_LOG4J_BINDING: Final = "2.24.3"
_JAVA_MAJOR: Final = 17
_JARS: Final = (
    f"org.apache.kafka:kafka_2.13:{VERSION}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J_BINDING}",
)


class KafkaUnavailableError(RuntimeError):
    """This machine cannot run Apache Kafka; the text says why."""


def jars() -> Path:
    """Folder of Kafka's jars, fetched with Maven at the first call.

    Raises:
        KafkaUnavailableError: If Java or Maven is missing, or the fetch fails.
    """
    folder_name = os.environ.get("EMBER_KAFKA_JARS")
    if folder_name:
        if not any(Path(folder_name).glob("kafka_2.13-*.jar")):
            raise KafkaUnavailableError(
                "EMBER_KAFKA_JARS has no Kafka. Expected a folder with kafka_2.13-*.jar. "
                f"Received: EMBER_KAFKA_JARS={folder_name}."
            )
        return Path(folder_name)
    try:
        return fetched(f"kafka-{VERSION}", _JARS)
    except MavenError as error:
        raise KafkaUnavailableError(str(error)) from error


def java() -> str:
    """The Java to run Kafka with.

    Raises:
        KafkaUnavailableError: If there is none of at least version 17.
    """
    home = os.environ.get("JAVA_HOME")
    java_path = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java_path is None:
        raise KafkaUnavailableError(f"no Java: Kafka {VERSION} needs Java {_JAVA_MAJOR} or later")
    text = subprocess.run(
        [java_path, "-version"], capture_output=True, text=True, check=False
    ).stderr
    match = re.search(r'version "(\d+)', text)
    if match is None or int(match.group(1)) < _JAVA_MAJOR:
        raise KafkaUnavailableError(
            f"Java is too old: Kafka {VERSION} needs Java {_JAVA_MAJOR} or later"
        )
    return java_path
