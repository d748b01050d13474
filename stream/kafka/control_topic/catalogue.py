"""Contents of the control topic: documents in force, and how they came to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from stream.control import (
    KINDS,
    MOST_BYTES,
    MOST_DOCUMENTS,
    NO_CONTROL,
    ControlError,
    ControlSet,
    Document,
    digest_of,
)

from .change import Change, change_key, number_of

KEPT_CHANGES: Final = 1_000
"""Changes that stay in the topic; each one retires that before them."""


class Unusable(NamedTuple):
    """Document that cannot be used, and the reason as a sentence."""

    key: str
    reason: str


class _Placed(NamedTuple):
    """Document and the offset of its record."""

    document: Document
    offset: int
    size: int


class ControlCatalogue:
    """Contents of the control topic, built of its records one after the other.

    Attributes:
        next_offset: Offset after the last record taken.
    """

    def __init__(self) -> None:
        self._documents: dict[str, _Placed] = {}
        self._changes: dict[int, Change] = {}
        self._numbers: set[int] = set()
        self._current: ControlSet | None = None
        self._former: dict[str, ControlSet | None] = {}
        self._faulty: dict[str, tuple[int, Unusable]] = {}
        self._excess: dict[int, Unusable] = {}
        self.next_offset = 0

    def take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take the next record.

        Args:
            offset: Offset of the record.
            key: Key of the record.
            value: Value of the record; None is a tombstone.
        """
        self.next_offset = offset + 1
        self._former = {}
        number = number_of(key or b"")
        if number is not None:
            self._take_change(number, value)
            return
        self._current = None
        name = (key or b"").decode("utf-8", "backslashreplace")
        # A document that cannot be used goes all the same: after a compaction nobody could know
        # the former one, and all workers have to come to the same set.
        self._documents.pop(name, None)
        self._faulty.pop(name, None)
        if value is None:
            return
        try:
            document = _document(name, value)
            self._documents[name] = _Placed(document, offset, len(document.encode()))
        except ControlError as error:
            self._faulty[name] = offset, Unusable(name, error.message)

    def _take_change(self, number: int, value: bytes | None) -> None:
        self._numbers.discard(number)
        self._changes.pop(number, None)
        if value is not None:
            self._numbers.add(number)
            change = Change.decode(value)
            if change is not None:
                self._changes[number] = change

    @property
    def current(self) -> ControlSet:
        """Documents in force; those beyond the bounds are left out, the last written first."""
        if self._current is None:
            documents, size = list[Document](), 0
            self._excess = {}
            for placed in sorted(self._documents.values(), key=lambda placed: placed.offset):
                size += placed.size + 1
                if len(documents) < MOST_DOCUMENTS and size <= MOST_BYTES:
                    documents.append(placed.document)
                    continue
                key = placed.document.key
                self._excess[placed.offset] = Unusable(
                    key,
                    f"Document {key} is one too many. Expected at most {MOST_DOCUMENTS}, of "
                    f"{MOST_BYTES} bytes together. Received: {len(self._documents)}. Remove some "
                    "with `ember control remove`.",
                )
            self._current = ControlSet.of(documents)
        return self._current

    @property
    def unusable(self) -> dict[int, Unusable]:
        """Documents that cannot be used, by the offset of their record."""
        assert self.current is not None  # which finds those beyond the bounds
        return dict(self._faulty.values()) | self._excess

    @property
    def is_foreign(self) -> bool:
        """True where records of other programs are all that the topic has."""
        is_ours = self._documents or self._numbers or any(map(_is_kind, self._faulty))
        return bool(self._faulty) and not is_ours

    def changes(self) -> list[Change]:
        """Return the changes that are kept; the last one comes first."""
        return [self._changes[number] for number in sorted(self._changes, reverse=True)]

    def find(self, digest: str) -> ControlSet | None:
        """Return the documents of a digest that are, or were, in force; None: not known any more.

        Args:
            digest: Digest of the set; empty: that of no documents.
        """
        if not digest:
            return NO_CONTROL
        if digest == self.current.digest:
            return self.current
        if digest not in self._former:  # every partition asks for the same one
            self._former[digest] = self._go_back(digest)
        return self._former[digest]

    def _go_back(self, digest: str) -> ControlSet | None:
        """Undo one change after the other, until the documents are those of a digest."""
        documents = {document.key: document for document in self.current.documents}
        encoded = {key: document.encode() for key, document in documents.items()}
        for change in self.changes():
            documents.pop(change.key, None)
            encoded.pop(change.key, None)
            if change.before is not None:
                documents[change.key] = change.before
                encoded[change.key] = change.before.encode()
            if digest_of(encoded) == digest:
                return ControlSet(tuple(documents[key] for key in sorted(documents)))
        return None

    def next_number(self) -> int:
        """Return the number of the next change."""
        return max(self._numbers, default=-1) + 1

    def retired_keys(self, added: int) -> list[bytes]:
        """Return the keys of the changes that go when so many are added."""
        first = self.next_number() + added - KEPT_CHANGES
        return [change_key(number) for number in sorted(self._numbers) if number < first]

    def by_key(self) -> Mapping[str, Document]:
        """Return the documents by key, those beyond the bounds too."""
        return {key: placed.document for key, placed in self._documents.items()}


def _document(key: str, value: bytes) -> Document:
    if not _is_kind(key):
        raise ControlError(
            f"Record {key} is no document. Expected a key of one of the kinds {', '.join(KINDS)}. "
            "Received: another. It may be of a newer version; remove it if it is not."
        )
    return Document.decode(key, value)


def _is_kind(key: str) -> bool:
    """Return whether a key is that of a document of a known kind."""
    return key.partition("/")[0] in KINDS
