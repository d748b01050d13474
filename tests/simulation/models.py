"""The model topic: publishers that may die or race, and what workers read of it.

The production parts are the records of a publication in their order, the manifest and the
catalogue. A bundle is its number, in two files, in chunks of a few bytes: half of one, or the
chunks of two, would be no model.
"""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from ember_core.serialize import ARRAYS_FILE, CARD_FILE
from stream.kafka.model_topic.catalogue import Catalogue
from stream.kafka.model_topic.manifest import Manifest, ManifestError
from stream.kafka.model_topic.publisher import publication_records

from .broker import Broker, Log, Producer, Record
from .machine import Process
from .tiny import digest_of

MODELS = "models"
_CHUNK_BYTES = 7


@cache
def _bundles() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="ember-simulated-models-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _content(number: int) -> dict[str, bytes]:
    return {CARD_FILE: b"card of model %d" % number, ARRAYS_FILE: b"arrays of model %d" % number}


@cache
def bundle(number: int) -> tuple[Manifest, Path]:
    """Manifest and folder of a model's bundle."""
    folder = _bundles() / str(number)
    folder.mkdir()
    content = _content(number)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    sizes = len(content[CARD_FILE]), len(content[ARRAYS_FILE])
    return Manifest(
        digest=digest_of(number),
        card_bytes=sizes[0],
        arrays_bytes=sizes[1],
        chunk_bytes=_CHUNK_BYTES,
        version=str(number),
    ), folder


def publish_at_once(log: Log, number: int) -> None:
    """Publish a model before anything begins."""
    for key, value in publication_records(Catalogue(), *bundle(number), None):
        log.append(key, value)


class HalfError(Exception):
    """A bundle that is not the one of its manifest."""


def newest(records: list[Record]) -> tuple[int, int] | None:
    """Return number and offset of the newest whole model; None where there is none.

    Raises:
        HalfError: If its chunks are not those of the model.
    """
    catalogue, values = Catalogue(), {}
    for record in records:
        values[record.offset] = record.value or b""
        catalogue.take(record.offset, record.key, record.value)
    for published in catalogue.newest_first():
        manifest = published.manifest
        try:
            offsets = catalogue.chunk_offsets(manifest)
        except ManifestError:
            continue
        number = int(manifest.version)
        if manifest.join([values[offset] for offset in offsets]) != _content(number):
            raise HalfError(f"the model at offset {published.offset} is not one")
        return number, published.offset
    return None


class Publisher:
    """Publication of a model by a process of its own, as `publish` goes about it.

    Args:
        broker: Where to.
        process: Whose.
        transactional_id: Empty: without transactions.
        number: Which model.
        follows: Publish only where no other is newer than the one read at the beginning.

    Attributes:
        after: Offset of the publication that it followed; None before.
        is_done: Whether it was told that the model is published.
    """

    def __init__(
        self, broker: Broker, process: Process, transactional_id: str, number: int, follows: bool
    ) -> None:
        self._broker, self._process, self._id = broker, process, transactional_id
        self._number, self._follows = number, follows
        self.after: int | None = None
        self.is_done = False

    async def run(self) -> None:
        """Look, train, publish."""
        if self._follows:
            found = newest(await self._read())
            self.after = -1 if found is None else found[1]
        producer = Producer(self._broker, self._process, self._id)
        await producer.start()
        catalogue = Catalogue()
        for record in await self._read():
            catalogue.take(record.offset, record.key, record.value)
        if self.after is not None and catalogue.newest_offset != self.after:
            return
        await producer.begin_transaction()
        for key, value in publication_records(catalogue, *bundle(self._number), None):
            sent = await producer.send(MODELS, key=key, value=value, headers=(), partition=0)
            await sent
        if self._id:
            await producer.commit_transaction()
        self.is_done = True

    async def _read(self) -> Any:
        log = self._broker.log(MODELS, 0)
        return await self._process.ask(lambda answer: answer(log.committed()))
