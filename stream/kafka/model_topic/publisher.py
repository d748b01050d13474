"""Publication of a bundle in the model topic, and of an earlier one again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ember_core.pipeline import FleetModel
from ember_core.serialize import ARRAYS_FILE, CARD_FILE
from stream.bundles import SIGNATURE_FILE
from stream.errors import UserError
from stream.kafka.client.compacted_log import CompactedLogReader, CompactedLogWriter, is_fenced
from stream.kafka.client.errors import KafkaError
from stream.kafka.config import WorkerConfig
from stream.kafka.supervision.topics import MODEL_CONFIG, prepare_log
from stream.users import current_user

from .catalogue import Catalogue
from .decision import Decision
from .manifest import Manifest, RecordKey

_TRAINING = ("rows", "keys", "skipped_keys", "digest", "window")


class OutdatedError(UserError):
    """Another bundle was published since the training of this one began."""


def describe(model: FleetModel, folder: Path, note: str = "") -> Manifest:
    """Return the manifest of a bundle that this user publishes now.

    Args:
        model: Model of the bundle.
        folder: Folder of the bundle.
        note: Words of the user about it.
    """
    signature = folder / SIGNATURE_FILE
    return Manifest(
        digest=model.sha256,
        card_bytes=(folder / CARD_FILE).stat().st_size,
        arrays_bytes=(folder / ARRAYS_FILE).stat().st_size,
        signature=signature.read_text().strip() if signature.is_file() else "",
        name=model.name,
        version=model.version,
        channels=tuple(model.channels),
        training={name: model.report[name] for name in _TRAINING if name in model.report},
        note=note,
        **_stamp(),
    )


def republished(manifest: Manifest, note: str = "") -> Manifest:
    """Return the manifest of a bundle that this user publishes again now.

    Args:
        manifest: Manifest of the bundle.
        note: Words of the user; empty: those of the manifest stay.
    """
    return replace(manifest, note=note or manifest.note, **_stamp())


async def publish(
    config: WorkerConfig,
    manifest: Manifest,
    folder: Path | None,
    *,
    decision: Decision | None = None,
    after: int | None = None,
) -> None:
    """Publish a bundle; the workers of the group take it over.

    Chunks come first and the manifest last, in one transaction where the broker has them. A
    publisher that dies in between leaves nothing that a reader would take.

    Args:
        config: Kafka configuration of the group's workers.
        manifest: Manifest of the bundle.
        folder: Folder of the bundle; None: its chunks are in the topic already.
        decision: Decision about a trained candidate, written beside it. A refused candidate gets no
            manifest, so that nobody takes it.
        after: Offset of the last publication that this one may follow; None: any.

    Raises:
        OutdatedError: If the last publication is not that of `after`.
        UserError: If the broker refuses, or another publisher was faster.
    """
    topic, settings = config.model_topic, config.client_settings()
    try:
        transactional = await prepare_log(config, topic, MODEL_CONFIG)
        name = config.model_transactional_id if transactional else ""
        async with CompactedLogWriter(settings, topic, name) as writer:
            # Read after the writer has started: it has ended the transaction of a dead publisher.
            catalogue = Catalogue()
            async with CompactedLogReader(settings, topic) as reader:
                async for record in reader.read(await reader.end()):
                    catalogue.take(record.offset, record.key, record.value)
            if after is not None and catalogue.newest_offset != after:
                raise OutdatedError(
                    "Another model was published since this training began. Expected that at "
                    f"offset {after} to be the newest. Received: offset={catalogue.newest_offset}."
                )
            async with writer.publication():
                for key, value in publication_records(catalogue, manifest, folder, decision):
                    await writer.put(key, value)
    except KafkaError as error:
        if is_fenced(error):
            raise UserError(
                "The model was not published: somebody else publishes one to the same topic now. "
                f"Received: topic={topic!r}. Look at `ember model history`, and publish again."
            ) from None
        raise UserError(
            f"The model was not published ({error}). Expected the right to write to the model "
            f"topic. Received: topic={topic!r}. `ember topics plan --deploy` prints the rights."
        ) from None


def publication_records(
    catalogue: Catalogue, manifest: Manifest, folder: Path | None, decision: Decision | None
) -> Iterator[tuple[bytes, bytes | None]]:
    """Iterate over the records of a publication in their order.

    Args:
        catalogue: Contents of the topic.
        manifest: Manifest of the bundle.
        folder: Folder of the bundle; None: its chunks are in the topic already.
        decision: Decision about a trained candidate.

    Raises:
        UserError: If there is no folder, and the topic has not all chunks.
    """
    if folder is not None:  # also where chunks are there: those may be damaged
        for number, chunk in enumerate(manifest.split(folder)):
            yield RecordKey(manifest.digest, number).encode(), chunk
    elif not catalogue.is_whole(manifest):
        raise UserError(
            "The model topic has not all of that bundle any more. Expected one of `ember model "
            f"history`. Received: {manifest.digest}. Publish it from its folder."
        )
    held_back = decision is not None and not decision.accepted
    if decision is not None:
        yield decision.key, decision.encode()
    if not held_back:
        yield RecordKey(manifest.digest, None).encode(), manifest.encode()
    for key in catalogue.retired_keys(manifest.digest, held_back=held_back):
        if decision is None or key != decision.key:
            yield key, None


def _stamp() -> dict[str, Any]:
    """Return who publishes, and when."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"published_at": now, "published_by": f"{current_user()}@{socket.gethostname()}"}
