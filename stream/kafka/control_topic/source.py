"""Reader of the control topic, for workers and commands."""

from __future__ import annotations

from stream.kafka.client.admin import Admin
from stream.kafka.client.compacted_log import CompactedLogReader
from stream.kafka.client.errors import KafkaError
from stream.kafka.config import WorkerConfig
from stream.kafka.protocol.ports import RefusedError

from .catalogue import ControlCatalogue


async def topic_exists(config: WorkerConfig) -> bool:
    """Return whether the control topic is there.

    A consumer that asks for a missing topic may make it, with the broker's own settings.

    Raises:
        KafkaError: If no broker answers.
    """
    async with Admin(config.client_settings()) as admin:
        return bool(await admin.describe([config.control_topic]))


async def read(config: WorkerConfig) -> ControlCatalogue:
    """Read the contents of the topic; one that is not there has none.

    Raises:
        KafkaError: If the broker refuses.
    """
    catalogue = ControlCatalogue()
    if await topic_exists(config):
        async with CompactedLogReader(config.client_settings(), config.control_topic) as reader:
            await fill(catalogue, reader)
    return catalogue


async def read_catalogue(config: WorkerConfig) -> ControlCatalogue:
    """Read the contents of the topic for a command.

    Raises:
        RefusedError: If it cannot be read.
    """
    try:
        return await read(config)
    except KafkaError as error:
        raise RefusedError(
            f"The control topic cannot be read ({error}). Expected a broker at "
            "kafka.bootstrap_servers that allows it. Received: "
            f"topic={config.control_topic!r}. `ember topics plan` prints the rights."
        ) from None


async def fill(catalogue: ControlCatalogue, reader: CompactedLogReader) -> None:
    """Take all records up to the present end of the topic.

    Args:
        catalogue: Catalogue that takes them.
        reader: Reader of the topic.
    """
    end = await reader.end()
    async for record in reader.read(end):
        catalogue.take(record.offset, record.key, record.value)
    catalogue.next_offset = end
