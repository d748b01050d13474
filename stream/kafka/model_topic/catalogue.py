"""Contents of the model topic: published bundles in their order, and the places of their chunks."""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

from .decision import Decision
from .manifest import Manifest, ManifestError, RecordKey

KEPT: Final = 5
"""Published bundles that stay in the topic; each publication retires those before them."""
KEPT_DECISIONS: Final = 20
"""Decisions about candidates that stay in the topic."""


class Published(NamedTuple):
    """Manifest and the offset of its record."""

    manifest: Manifest
    offset: int


class Decided(NamedTuple):
    """Decision and the offset of its record."""

    decision: Decision
    offset: int


class Catalogue:
    """Contents of the model topic, built of its records one after the other.

    Attributes:
        unusable: Reasons by offset and digest, for manifests that cannot be read.
    """

    def __init__(self) -> None:
        self._published: dict[str, Published] = {}
        self._manifest_keys: set[str] = set()
        self._chunks: dict[str, dict[int, int]] = defaultdict(dict)
        self._decisions: dict[bytes, Decided] = {}
        self.unusable: dict[tuple[int, str], str] = {}

    def take(self, offset: int, key: bytes | None, value: bytes | None) -> Published | None:
        """Take the next record.

        Args:
            offset: Offset of the record.
            key: Key of the record.
            value: Value of the record; None is a tombstone.

        Returns:
            The bundle that it publishes, if it does.
        """
        name = RecordKey.decode(key)
        if name is None:
            self._take_decision(offset, key, value)
            return None
        if name.chunk is not None:
            if value is None:
                self._chunks[name.digest].pop(name.chunk, None)
            else:
                self._chunks[name.digest][name.chunk] = offset
            return None
        self._published.pop(name.digest, None)
        self._manifest_keys.discard(name.digest)
        if value is None:
            return None
        self._manifest_keys.add(name.digest)
        try:
            published = Published(Manifest.decode(value, name.digest), offset)
        except ManifestError as error:
            self.unusable[offset, name.digest] = str(error)
            return None
        self._published[name.digest] = published
        return published

    def _take_decision(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        self._decisions.pop(key or b"", None)
        decision = None if value is None else Decision.decode(key, value)
        if decision is not None:
            self._decisions[decision.key] = Decided(decision, offset)

    def decisions(self) -> list[Decided]:
        """Return the decisions about candidates; the last one comes first."""
        return sorted(self._decisions.values(), key=lambda each: -each.offset)

    def held_back(self) -> Decided | None:
        """Return the refusal that nothing was published after; the candidate's chunks stay."""
        for decided in self.decisions()[:1]:
            if not decided.decision.accepted and decided.offset > self.newest_offset:
                return decided
        return None

    @property
    def newest_offset(self) -> int:
        """Offset of the last publication; -1 where there is none."""
        return max((published.offset for published in self._published.values()), default=-1)

    def newest_first(self) -> list[Published]:
        """Return the published bundles; the last one published comes first."""
        return sorted(self._published.values(), key=lambda each: -each.offset)

    def offset_of(self, manifest: Manifest) -> int:
        """Return the offset of a bundle's manifest; -1 where it is published no more."""
        published = self._published.get(manifest.digest)
        return -1 if published is None else published.offset

    def chunk_offsets(self, manifest: Manifest) -> list[int]:
        """Return the offsets of a bundle's chunks in their order.

        Raises:
            ManifestError: If a chunk is missing.
        """
        offsets = self._chunks.get(manifest.digest, {})
        missing = [number for number in range(manifest.chunks) if number not in offsets]
        if missing:
            raise ManifestError(f"{len(missing)} of its {manifest.chunks} chunks are missing")
        return [offsets[number] for number in range(manifest.chunks)]

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether all chunks of a bundle are there."""
        try:
            self.chunk_offsets(manifest)
        except ManifestError:
            return False
        return True

    def retired_keys(
        self, digest: str, kept: int = KEPT, *, held_back: bool = False
    ) -> list[bytes]:
        """Return the keys that get a tombstone when a bundle is published or held back.

        Manifests come before chunks, so that no reader finds a manifest that loses its chunks.
        Chunks without a manifest are those of a publisher that died, or of a candidate that was
        held back before, and go too.

        Args:
            digest: Bundle that is published or held back.
            kept: Number of bundles that stay, a published one included.
            held_back: Whether the bundle gets no manifest.
        """
        digests = [published.manifest.digest for published in self.newest_first()]
        earlier = [name for name in digests if name != digest]
        # What another version wrote, and this one cannot read, is left to that version.
        staying = {digest, *(self._manifest_keys - self._published.keys())}
        staying |= set(digests[:kept] if held_back else earlier[: kept - 1])
        candidate = self.held_back()
        if candidate is not None and not held_back:  # somebody may still want it
            staying.add(candidate.decision.manifest.digest)
        retired = sorted(self._published.keys() - staying)
        keys = [RecordKey(name, None).encode() for name in retired]
        for name, offsets in sorted(self._chunks.items()):
            if name not in staying:
                keys += [RecordKey(name, number).encode() for number in sorted(offsets)]
        keys += [each.decision.key for each in self.decisions()[KEPT_DECISIONS - 1 :]]
        return keys
