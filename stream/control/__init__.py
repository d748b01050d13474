"""Documents of operators: rules, feedback, calendars, silences and acknowledgements.

Pure: no Kafka, no clock, no I/O. The engine takes a `ControlSet`; commands and workers exchange its
documents by the control topic.
"""

from __future__ import annotations

from .acknowledgements import Acknowledgements
from .bodies import Acknowledgement, Feedback, Silence
from .calendar_body import Calendar, Window
from .documents import (
    KINDS,
    MOST_BYTES,
    MOST_DOCUMENT_BYTES,
    MOST_DOCUMENTS,
    NO_CONTROL,
    ControlError,
    ControlSet,
    Document,
    digest_of,
)
from .for_key import documents_for_key
from .patterns import compiled
from .rules import Rule

__all__ = [
    "KINDS",
    "MOST_BYTES",
    "MOST_DOCUMENTS",
    "MOST_DOCUMENT_BYTES",
    "NO_CONTROL",
    "Acknowledgement",
    "Acknowledgements",
    "Calendar",
    "ControlError",
    "ControlSet",
    "Document",
    "Feedback",
    "Rule",
    "Silence",
    "Window",
    "compiled",
    "digest_of",
    "documents_for_key",
]
