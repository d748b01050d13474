"""Document of the control topic, and the set of documents that is in force."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final, Literal, Self, get_args

import msgspec

from stream.errors import UserError

from .bodies import Acknowledgement, Feedback, Silence, text_fault
from .calendar_body import Calendar
from .choices import with_choices
from .rules import Rule, validate
from .times import time_fault

Kind = Literal["acknowledgement", "calendar", "feedback", "rule", "silence"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
MOST_DOCUMENT_BYTES: Final = 65_536
"""Bytes of one document; far below the 1 MiB that brokers accept by default."""
MOST_DOCUMENTS: Final = 2_000
MOST_BYTES: Final = 4 << 20
"""Bytes of all documents together."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_MOST_AUTHOR: Final = 256


class ControlError(UserError, ValueError):
    """A document, or a set of them, that cannot be used; the message says why."""


class Document(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """One document: a body, and who wrote it, when and why."""

    name: str
    author: str
    reason: str = ""
    time: str
    """Time of writing, RFC 3339."""
    source: str = ""
    """Name of the file that the document is kept in; empty for one written by a command."""
    body: Rule | Feedback | Calendar | Silence | Acknowledgement

    @property
    def kind(self) -> Kind:
        """Kind of the body."""
        kind: Kind = self.body.__struct_config__.tag  # type: ignore[assignment]
        return kind

    @property
    def key(self) -> str:
        """Name of the document among all kinds; key of its record."""
        return f"{self.kind}/{self.name}"

    def validate(self) -> str:
        """Return the first fault as a sentence; empty for a sound document."""
        if not _NAME.fullmatch(self.name):
            return (
                "`name` is no name of a document. Expected 1 to 128 letters, digits, `.`, `_`, "
                f"`:` and `-`, a letter or digit first. Received: {self.name!r}. Choose another."
            )
        if not 0 < len(self.author) <= _MOST_AUTHOR:
            return (
                f"`author` is {'too long' if self.author else 'empty'}. Expected 1 to "
                f"{_MOST_AUTHOR} characters. Received: {len(self.author)}. Say who writes it."
            )
        if len(self.source) > _MOST_AUTHOR:
            return (
                f"`source` is too long. Expected at most {_MOST_AUTHOR} characters. Received: "
                f"{len(self.source)}. Shorten the name of the file."
            )
        fault = text_fault("reason", self.reason) or time_fault("time", self.time)
        if fault:
            return fault
        return validate(self.body) if isinstance(self.body, Rule) else self.body.validate()

    def encode(self) -> bytes:
        """Return the value of the record: JSON, the same bytes for equal documents."""
        return msgspec.json.encode(self, order="deterministic")

    @classmethod
    def decode(cls, key: str, value: bytes) -> Self:
        """Read a record.

        Args:
            key: Key of the record.
            value: Value of the record.

        Raises:
            ControlError: If it holds no sound document of that key.
        """
        if len(value) > MOST_DOCUMENT_BYTES:
            raise ControlError(
                f"Document {key} is too large. Expected at most {MOST_DOCUMENT_BYTES} bytes. "
                f"Received: {len(value)}. Divide it into several."
            )
        try:
            document = msgspec.json.decode(value, type=cls)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise ControlError(
                f"Document {key} cannot be read. Expected JSON with name, author, time and body. "
                f"Received: {with_choices(error, cls)}. Write it with `ember control apply` of "
                "this version."
            ) from None
        return document.checked(key)

    def checked(self, key: str = "") -> Self:
        """Return the document itself, once it is found sound.

        Args:
            key: Key of its record, where it has one.

        Raises:
            ControlError: If it has a fault, is too large, or belongs to another key.
        """
        fault = self.validate()
        if fault:
            # A name that is none may have line breaks.
            name = (key or self.key).encode("unicode_escape").decode()
            raise ControlError(f"Document {name} cannot be used: {fault}")
        if key and key != self.key:
            raise ControlError(
                f"Document {key} has the name of another. Expected {key}. Received: {self.key}. "
                "Write it with `ember control apply`."
            )
        size = len(self.encode())
        if size > MOST_DOCUMENT_BYTES:
            raise ControlError(
                f"Document {self.key} is too large. Expected at most {MOST_DOCUMENT_BYTES} bytes. "
                f"Received: {size}. Divide it into several."
            )
        return self


class ControlSet:
    """Documents that are in force together, in the order of kind and name.

    Args:
        documents: Sound documents, in that order and none twice.
    """

    def __init__(self, documents: tuple[Document, ...] = ()) -> None:
        self.documents = documents

    @classmethod
    def of(cls, documents: Iterable[Document]) -> ControlSet:
        """Return the set of some documents, in any order.

        Args:
            documents: The documents.

        Raises:
            ControlError: If one has a fault, two have one name, or there are too many.
        """
        ordered = tuple(sorted(documents, key=_order))
        for previous, document in zip((None, *ordered), ordered, strict=False):
            document.checked()
            if previous is not None and previous.key == document.key:
                raise ControlError(
                    f"Two documents are called {document.key}. Expected one of each name. "
                    "Received: two. Rename one of them."
                )
        control = cls(ordered)
        control.require_bounded()
        return control

    def require_bounded(self) -> None:
        """Refuse a set that is too large.

        Raises:
            ControlError: If it has too many documents, or they have too many bytes.
        """
        count, size = len(self.documents), len(self.canonical)
        if count > MOST_DOCUMENTS or size > MOST_BYTES:
            raise ControlError(
                f"There are too many documents. Expected at most {MOST_DOCUMENTS}, of "
                f"{MOST_BYTES} bytes together. Received: {count}, of {size} bytes. Remove those "
                "that are not needed any more with `ember control remove`."
            )

    @cached_property
    def canonical(self) -> bytes:
        """Bytes of the whole set, equal for equal sets; empty for no documents."""
        return _joined({document.key: document.encode() for document in self.documents})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes; empty for no documents."""
        return _digest(self.canonical)

    @cached_property
    def rules(self) -> tuple[tuple[str, Rule], ...]:
        """Names and rules, in the order of the names."""
        return tuple((d.name, d.body) for d in self.documents if isinstance(d.body, Rule))

    @cached_property
    def calendars(self) -> tuple[tuple[str, Calendar], ...]:
        """Names and calendars, in the order of the names."""
        return tuple((d.name, d.body) for d in self.documents if isinstance(d.body, Calendar))

    def find(self, key: str) -> Document | None:
        """Return the document of a key such as `rule/disk`; None where there is none."""
        return next((document for document in self.documents if document.key == key), None)

    def replace(self, key: str, document: Document | None) -> ControlSet:
        """Return the set with another document in place of that of a key.

        Args:
            key: Key of the document that goes.
            document: Document that comes; None: there is none any more.
        """
        documents = [former for former in self.documents if former.key != key]
        if document is not None:
            documents.append(document)
        return ControlSet(tuple(sorted(documents, key=_order)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ControlSet) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"ControlSet({', '.join(document.key for document in self.documents)})"


def digest_of(encoded: Mapping[str, bytes]) -> str:
    """Return the digest of a set.

    Args:
        encoded: Bytes of each document by its key.
    """
    return _digest(_joined(encoded))


def _joined(encoded: Mapping[str, bytes]) -> bytes:
    return b"\n".join(encoded[key] for key in sorted(encoded))


def _digest(canonical: bytes) -> str:
    return hashlib.sha256(canonical).hexdigest() if canonical else ""


def _order(document: Document) -> tuple[str, str]:
    """Return the place of a document among others, by kind and name."""
    return document.kind, document.name


NO_CONTROL: Final = ControlSet()
