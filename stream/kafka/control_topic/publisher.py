"""Writing of documents to the control topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stream.control import ControlSet, Document
from stream.errors import UserError
from stream.kafka.client.compacted_log import CompactedLogReader, CompactedLogWriter, is_fenced
from stream.kafka.client.errors import KafkaError
from stream.kafka.config import WorkerConfig
from stream.kafka.supervision.topics import CONTROL_CONFIG, prepare_log

from .catalogue import ControlCatalogue
from .change import Change, change_key
from .source import fill


class OutdatedError(UserError):
    """A document was changed by somebody else in the meantime."""


class Stamp(NamedTuple):
    """Author, reason and time of a change."""

    author: str
    reason: str
    time: str


class Edit(NamedTuple):
    """Document that is to be written or removed."""

    key: str
    before: Document | None
    """Document that the author has seen; None: there was none."""
    after: Document | None
    """Document that is to be; None: none."""


async def publish(config: WorkerConfig, edits: Sequence[Edit], stamp: Stamp) -> ControlSet:
    """Write changes of documents; the workers of the group take them over.

    Each edit names the version that its author has seen. If one has changed since, nothing is
    written: the last writer would undo the work of another without knowing.

    Args:
        config: Kafka configuration of the group's workers.
        edits: Changes, one for each document.
        stamp: Author, reason and time of the changes.

    Returns:
        The documents that are in force now.

    Raises:
        OutdatedError: If a document is another than the author has seen.
        UserError: If the broker refuses, or there would be too many documents.
    """
    topic, settings = config.control_topic, config.client_settings()
    try:
        transactional = await prepare_log(config, topic, CONTROL_CONFIG)
        name = config.control_transactional_id if transactional else ""
        async with CompactedLogWriter(settings, topic, name) as writer:
            # Read after the writer has started: it has ended the transaction of a dead one.
            catalogue = ControlCatalogue()
            async with CompactedLogReader(settings, topic) as reader:
                await fill(catalogue, reader)
            control = edited(catalogue, edits)
            async with writer.publication():
                for key, value in records_of(catalogue, edits, stamp):
                    await writer.put(key, value)
            return control
    except KafkaError as error:
        if is_fenced(error):
            raise OutdatedError(
                "The documents were not written: somebody else writes to the same topic now. "
                f"Received: topic={topic!r}. Look at `ember control history`, and apply them again."
            ) from None
        raise UserError(
            f"The documents were not written ({error}). Expected the right to write to the control "
            f"topic. Received: topic={topic!r}. `ember topics plan --control` prints the rights."
        ) from None


def edited(catalogue: ControlCatalogue, edits: Sequence[Edit]) -> ControlSet:
    """Return the documents after the edits, once these are found to be allowed."""
    documents = dict(catalogue.by_key())
    for edit in edits:
        present = documents.pop(edit.key, None)
        if present != edit.before:
            author = present.author if present is not None else "somebody"
            raise OutdatedError(
                f"Document {edit.key} was changed in the meantime, by {author}. Expected the "
                "version that was shown. Received: another, so nothing was written. Look at it "
                f"with `ember control show {edit.key}`, and apply yours again."
            )
        if edit.after is not None:
            documents[edit.key] = edit.after
    return ControlSet.of(documents.values())


def records_of(
    catalogue: ControlCatalogue, edits: Sequence[Edit], stamp: Stamp
) -> Iterator[tuple[bytes, bytes | None]]:
    """Iterate over the records in their order.

    A change comes before its document: a reader that goes back undoes a change that was not made
    without harm, and could not undo one that it does not know.
    """
    first = catalogue.next_number()
    for number, edit in enumerate(edits, start=first):
        own_reason = "" if edit.after is None else edit.after.reason
        change = Change(
            key=edit.key,
            author=stamp.author,
            reason=stamp.reason or own_reason,
            time=stamp.time,
            before=edit.before,
            after=edit.after,
        )
        yield change_key(number), change.encode()
        yield edit.key.encode(), None if edit.after is None else edit.after.encode()
    for retired in catalogue.retired_keys(len(edits)):
        yield retired, None
