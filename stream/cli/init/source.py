"""SOURCE of `ember init`: a sample of the records of a topic or of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from ember_core.data.sources import PACKED
from stream.cli.doctor.evidence import Record, read_newest
from stream.cli.doctor.sample import unreadable
from stream.errors import UserError
from stream.settings import Settings
from stream.tools import clients
from stream.tools.log_record import first_of_dump, read_dump, read_values
from stream.tools.topic_names import likely_topics

_MOST_RECORDS = 20_000
_MOST_BYTES = 8 * 1024 * 1024
"""Bytes of the values; OTLP has hundreds of numbers in a few kilobytes."""
_TABLES = (".csv", ".tsv", ".parquet", ".pq")
_EXPECTED = (
    "Expected a topic (kafka:NAME), a dump of one (kcat -C -J), records one a line, or a table "
    "(.csv, .parquet)."
)

_R = TypeVar("_R", bound=Record)


@dataclass(frozen=True)
class Sample:
    """Records of a source.

    Attributes:
        kind: `topic`; `dump` of one; `values`: a file with a value a line.
        name: Name of the source, for sentences.
        data: Source as DATA of other commands.
        topic: Name of the topic; empty where the source does not tell.
        records: Records, oldest first.
        partitions: Number of partitions; 0 where the source does not tell.
    """

    kind: Literal["topic", "dump", "values"]
    name: str
    data: str
    topic: str
    records: Sequence[Record]
    partitions: int


def is_table(source: str) -> bool:
    """Tell if the source is a file of a table, by its name."""
    name = source.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return not source.startswith("kafka:") and name.endswith(_TABLES)


def take(source: str, settings: Settings) -> Sample:
    """Read a sample of a topic or a file.

    Args:
        source: `kafka:NAME`, or the path of a file.
        settings: Section `kafka`.

    Raises:
        UserError: If there is no such source, or no record in it.
    """
    scheme, colon, topic = source.partition(":")
    if scheme == "kafka" and colon:
        return _of_topic(topic, settings)
    return _of_file(require_file(source))


def require_file(source: str) -> Path:
    """Return the path of a file that can be read and is not empty.

    Raises:
        UserError: If there is none.
    """
    path = Path(source)
    if path.is_dir():
        problem = "is a directory"
        fix = f"Name a file in it, or a topic as kafka:{path.name}."
    elif not path.exists():
        problem = "is not there"
        fix = f"For a topic of that name write kafka:{path.name}."
    else:
        try:
            with path.open("rb") as file:
                if file.read(1):
                    return path
        except OSError as error:
            problem, fix = f"cannot be read: {error.strerror or error}", "Look at its rights."
        else:
            problem, fix = "is empty", "Fill it, for example with `kcat -C -J -t TOPIC -e`."
    raise UserError(f"{source} {problem}. {_EXPECTED} Received: {source}. {fix}", exit_code=2)


def _of_topic(topic: str, settings: Settings) -> Sample:
    counts = clients.partition_counts(clients.fetch_metadata(settings.kafka))
    if topic not in counts:
        hint = " `ember init` looks at one topic." if "," in topic else ""
        raise UserError(
            f"There is no topic {topic!r}. Expected one of: {likely_topics(counts, topic)}. "
            f"Received: kafka:{topic}.{hint}"
        )
    try:
        records = read_newest(settings, topic, counts[topic])
    # Whatever the client raises, the worker would meet it too.
    except Exception as error:  # noqa: BLE001
        finding = unreadable(topic, error)
        raise UserError(
            f"{finding.detail} Expected records of the topic that this user may read. Received: "
            f"kafka:{topic}. {finding.fix}"
        ) from None
    if not any(record.value for record in records):
        raise UserError(
            f"The topic {topic!r} holds no records to look at. Expected some. Received: "
            f"{len(records)} with a value. Let the producers send, and ask again."
        )
    newest = list(_limited(reversed(records)))[::-1]
    return Sample("topic", f"topic {topic}", f"kafka:{topic}", topic, newest, counts[topic])


def _of_file(path: Path) -> Sample:
    first = first_of_dump(path)
    name = f"file {path}"
    records = list(_limited(read_values(path) if first is None else read_dump(path)))
    if not any(record.value for record in records):
        raise UserError(
            f"{path} holds no records to look at. {_EXPECTED} Received: {len(records)} without a "
            "value.",
            exit_code=2,
        )
    if first is None:
        return Sample("values", name, f"lines:{path}", "", records, 0)
    topic = first.get("topic")
    partitions = 1 + max(record.partition for record in records)
    # As a topic is read: the records of several partitions by Kafka's time.
    records.sort(key=lambda record: record.timestamp)
    known_topic = topic if isinstance(topic, str) else ""
    return Sample("dump", name, f"kcat:{path}", known_topic, records, partitions)


def _limited(records: Iterable[_R]) -> Iterator[_R]:
    """Yield the first records, up to so many or so many bytes."""
    size = 0
    for number, record in enumerate(records):
        size += len(record.value or b"")
        if number and (number == _MOST_RECORDS or size > _MOST_BYTES):
            return
        yield record
