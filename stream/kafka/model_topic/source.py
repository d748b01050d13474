"""Source of the newest bundle of the model topic, for one worker or command."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import NamedTuple

from stream import bundles
from stream.errors import UserError
from stream.kafka.client.admin import Admin, connect
from stream.kafka.client.compacted_log import CompactedLogReader
from stream.kafka.client.errors import KafkaError
from stream.kafka.config import WorkerConfig

from .cache import BundleCache
from .catalogue import Catalogue, Published
from .manifest import Manifest, ManifestError

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 2.0


class UnreadableError(UserError):
    """The model topic cannot be read now; a later attempt may succeed."""


class TopicBundle(NamedTuple):
    """Bundle of the model topic, and the folder of its files."""

    manifest: Manifest
    folder: Path


class BundleSource:
    """Source of bundles in the model topic.

    Args:
        config: Kafka configuration of the worker, with the name of the topic.
        folder: Folder for the bundles; None: a temporary one.
        public_key: PEM file of the key that bundles have to be signed with; None: no signature.

    Raises:
        UserError: If the key cannot be used.
    """

    def __init__(self, config: WorkerConfig, folder: Path | None, public_key: Path | None) -> None:
        self._config = config
        self._cache = BundleCache(folder)
        self._public_key: Path | None = None
        self._ignored = set[tuple[int, str]]()
        self._next_offset = 0
        self._on_ignored: Callable[[], None] = lambda: None
        self.require(public_key)

    def require(self, public_key: Path | None) -> None:
        """Set the key that bundles have to be signed with.

        Args:
            public_key: PEM file of the key; None: no signature.

        Raises:
            UserError: If the key cannot be used. No bundle is to blame for it.
        """
        if public_key is not None:
            bundles.read_public_key(public_key)
        self._public_key = public_key

    @property
    def missing(self) -> str:
        """Reason to wait where there is no bundle, without its full stop."""
        return f"no model is in topic {self._config.model_topic!r} yet"

    def report_ignored(self, on_ignored: Callable[[], None]) -> None:
        """Report each bundle that cannot be used, once; those of before at once.

        Args:
            on_ignored: Function called for each.
        """
        self._on_ignored = on_ignored
        for _ in self._ignored:
            on_ignored()

    async def newest(self) -> TopicBundle | None:
        """Return the newest bundle that is whole, and signed where it has to be.

        Returns:
            That bundle; None where there is none.

        Raises:
            UnreadableError: If the topic cannot be read now.
        """
        try:
            return await self._newest()
        except KafkaError as error:
            raise UnreadableError(
                f"The model topic cannot be read ({error}). Expected a broker at "
                "kafka.bootstrap_servers that allows it. Received: "
                f"topic={self._config.model_topic!r}. `ember topics plan` prints the rights."
            ) from None

    async def wait(self, on_wait: Callable[[str], None]) -> TopicBundle:
        """Wait for the first bundle that can be used.

        Args:
            on_wait: Function told the reason of each wait.

        Raises:
            RefusedError: If a broker refuses the login, or cannot be trusted.
        """
        logged_reason = ""
        while True:
            # It waits for a broker too, and tells a refused login from one that is not there.
            await (await connect(self._config.client_settings(), on_wait)).__aexit__()
            try:
                if bundle := await self.newest():
                    return bundle
                reason = self.missing
            except UnreadableError as error:
                reason = error.message.rstrip(".")
            on_wait(reason)
            if reason != logged_reason:
                log.warning("Waiting: %s. `ember model deploy` publishes one.", reason)
                logged_reason = reason
            await asyncio.sleep(_AGAIN_SECONDS)

    async def publications(self) -> AsyncGenerator[Manifest]:
        """Iterate over the bundles published after the last call of `newest`, without an end.

        Raises:
            KafkaError: If the broker refuses.
        """
        catalogue = Catalogue()
        first = self._next_offset
        async with CompactedLogReader(*self._place, following=True) as reader:
            async for record in reader.follow(first):
                if published := catalogue.take(record.offset, record.key, record.value):
                    yield published.manifest

    async def read(self) -> Catalogue:
        """Read the contents of the topic; a topic that is not there has none.

        Raises:
            KafkaError: If the broker refuses.
        """
        catalogue = Catalogue()
        if await self._exists():
            async with CompactedLogReader(*self._place) as reader:
                await _fill(catalogue, reader, await reader.end())
        return catalogue

    @property
    def _place(self) -> tuple[dict[str, object], str]:
        return self._config.client_settings(), self._config.model_topic

    async def _exists(self) -> bool:
        # A consumer that asks for a topic may make it, with the broker's own settings.
        async with Admin(self._config.client_settings()) as admin:
            return bool(await admin.describe([self._config.model_topic]))

    async def _newest(self) -> TopicBundle | None:
        if not await self._exists():
            return None
        catalogue = Catalogue()
        async with CompactedLogReader(*self._place) as reader:
            end = await reader.end()
            await _fill(catalogue, reader, end)
            self._next_offset = end
            for record, reason in catalogue.unusable.items():
                self._ignore(record, reason)
            bundle = None
            for published in catalogue.newest_first():
                try:
                    folder = await self._load(catalogue, published.manifest, reader)
                except (ManifestError, UserError) as error:
                    self._ignore((published.offset, published.manifest.digest), str(error))
                    continue
                bundle = TopicBundle(published.manifest, folder)
                break
        published_digests = {published.manifest.digest for published in catalogue.newest_first()}
        await asyncio.to_thread(self._cache.keep, published_digests)
        return bundle

    async def load(self, published: Published) -> Path:
        """Return the folder of one bundle of the topic.

        Args:
            published: Bundle to load.

        Raises:
            ManifestError: If it is not whole.
            UserError: If it is not signed, and has to be.
            KafkaError: If the broker refuses.
        """
        catalogue = Catalogue()
        async with CompactedLogReader(*self._place) as reader:
            await _fill(catalogue, reader, await reader.end())
            return await self._load(catalogue, published.manifest, reader)

    async def _load(
        self, catalogue: Catalogue, manifest: Manifest, reader: CompactedLogReader
    ) -> Path:
        offsets = catalogue.chunk_offsets(manifest)
        folder = await asyncio.to_thread(self._cache.find, manifest)
        if folder is None:
            chunks = dict[int, bytes]()
            chunk_offsets = set(offsets)
            async for record in reader.read(max(offsets) + 1, min(offsets)):
                if record.offset in chunk_offsets:
                    chunks[record.offset] = record.value or b""
            files = manifest.join([chunks.get(offset, b"") for offset in offsets])
            folder = await asyncio.to_thread(self._cache.add, manifest, files)
        await asyncio.to_thread(bundles.check, folder, "", self._public_key)
        return folder

    def _ignore(self, place: tuple[int, str], reason: str) -> None:
        if place in self._ignored:
            return
        self._ignored.add(place)
        self._on_ignored()
        log.error(
            "The bundle %s at offset %d of %r is not taken: %s. Publish it again with `ember model "
            "deploy`.",
            place[1][:12],
            place[0],
            self._config.model_topic,
            reason.rstrip("."),
        )


async def _fill(catalogue: Catalogue, reader: CompactedLogReader, end: int) -> None:
    async for record in reader.read(end):
        catalogue.take(record.offset, record.key, record.value)
