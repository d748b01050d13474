"""Records of the model topic: the manifest of a bundle, and the chunks of its files.

A bundle is named by its digest, so equal keys hold equal bytes. The manifest's key has the digest
too: a bundle that is published again moves to the end, and its chunks stay where they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ember_core.serialize import ARRAYS_FILE, CARD_FILE

CHUNK_BYTES: Final = 524_288
"""Bytes of a chunk: half of what brokers accept by default."""
MOST_BYTES: Final = 2 << 30
_FORMAT: Final = 1
# A digest is the name of a folder too, so nothing else is taken for one.
_KEY: Final = re.compile(rb"manifest/([0-9a-f]{64})|chunk/([0-9a-f]{64})/([0-9]{1,9})")


class ManifestError(ValueError):
    """A record of the model topic that cannot be used; the text says why."""


class RecordKey(NamedTuple):
    """Key of a record: the digest of the bundle, and the chunk's number; None: the manifest."""

    digest: str
    chunk: int | None

    def encode(self) -> bytes:
        """Return the key as bytes."""
        if self.chunk is None:
            return f"manifest/{self.digest}".encode()
        return f"chunk/{self.digest}/{self.chunk}".encode()

    @classmethod
    def decode(cls, key: bytes | None) -> RecordKey | None:
        """Return the key of a record; None for a record of something else."""
        match = _KEY.fullmatch(key or b"")
        if match is None:
            return None
        digest, number = (match[1] or match[2]).decode(), match[3]
        return cls(digest, None if number is None else int(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Description of a published bundle.

    Attributes:
        digest: Digest of the bundle.
        card_bytes: Size of the card, which comes first in the chunks.
        arrays_bytes: Size of the arrays, which follow it.
        chunk_bytes: Size of every chunk but the last.
        signature: Text of the bundle's signature; empty: it is not signed.
        name: Name of the model.
        version: Version of the model.
        channels: Channels of the model.
        training: Figures of its training: rows, keys, digest of the data.
        published_at: Time of the publication, RFC 3339.
        published_by: User and host that published it.
        note: Words of the user about it.
    """

    digest: str
    card_bytes: int
    arrays_bytes: int
    chunk_bytes: int = CHUNK_BYTES
    signature: str = ""
    name: str = ""
    version: str = ""
    channels: tuple[str, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    published_at: str = ""
    published_by: str = ""
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes of all chunks together."""
        return self.card_bytes + self.arrays_bytes

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return math.ceil(self.size / self.chunk_bytes)

    def body(self) -> dict[str, Any]:
        """Return the manifest as plain values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"chunks": self.chunks}

    def encode(self) -> bytes:
        """Return the value of the manifest's record."""
        return msgspec.json.encode({"format": _FORMAT} | self.body())

    @classmethod
    def decode(cls, value: bytes, digest: str) -> Manifest:
        """Read the value of a manifest's record.

        Args:
            value: Value of the record.
            digest: Digest that its key has.

        Raises:
            ManifestError: If it cannot be used.
        """
        try:
            stored = msgspec.json.decode(value, type=dict[str, Any])
            if (version := stored.get("format")) != _FORMAT:
                raise ManifestError(f"its format is {version}, and this version reads {_FORMAT}")
            fields = {name: stored[name] for name in cls.__slots__ if name in stored}
            manifest: Manifest = msgspec.convert(fields, cls)
        except msgspec.MsgspecError as error:
            raise ManifestError(f"it is no manifest ({error})") from None
        if manifest.digest != digest:
            raise ManifestError(f"its key names {digest}, and it {manifest.digest}")
        if min(manifest.card_bytes, manifest.arrays_bytes, manifest.chunk_bytes) <= 0:
            raise ManifestError("its sizes are not above zero")
        if manifest.size > MOST_BYTES:
            raise ManifestError(
                f"it is of {manifest.size:,} bytes, and {MOST_BYTES:,} are the most"
            )
        return manifest

    def split(self, folder: Path) -> Iterator[bytes]:
        """Iterate over the chunks of the bundle.

        Args:
            folder: Folder of the bundle.
        """
        content = (folder / CARD_FILE).read_bytes() + (folder / ARRAYS_FILE).read_bytes()
        if len(content) != self.size:
            raise ManifestError("the bundle changed while it was published")
        for start in range(0, self.size, self.chunk_bytes):
            yield content[start : start + self.chunk_bytes]

    def join(self, chunks: Sequence[bytes]) -> dict[str, bytes]:
        """Return the content of the bundle's files by name.

        Args:
            chunks: All chunks in their order.

        Raises:
            ManifestError: If they have another size.
        """
        content = b"".join(chunks)
        if len(content) != self.size:
            raise ManifestError(f"its chunks have {len(content):,} of {self.size:,} bytes")
        return {CARD_FILE: content[: self.card_bytes], ARRAYS_FILE: content[self.card_bytes :]}
