"""Reports about the training: its progress and its end."""

from __future__ import annotations

from typing import Any, Final, Literal, Protocol

import msgspec

Stage = Literal["standby", "idle", "waiting", "reading", "training", "judging", "publishing"]
RESULTS: Final = ("published", "refused", "outdated", "failed")
"""Ends of a training, in the metric's order."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Progress of a training.

    Attributes:
        stage: Step that it is at.
        detail: Sentence for people, without its full stop.
        share: Share of the step that is done, from 0 to 1.
    """

    stage: Stage
    detail: str
    share: float = 0.0


class Outcome(msgspec.Struct, frozen=True, tag="outcome"):
    """End of a training.

    Attributes:
        result: End of the training; `waiting`: there is too little history yet.
        detail: Sentence for people.
        again_seconds: Time until it is worth another try, where that is known.
    """

    result: Literal["published", "refused", "outdated", "failed", "waiting"]
    detail: str
    again_seconds: float = 0.0


Message = Progress | Outcome
_DECODER = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return a message as one line."""
    return msgspec.json.encode(message) + b"\n"


def decode(line: bytes) -> Message | None:
    """Return the message of a line; None for a line that is none."""
    try:
        message: Message = _DECODER.decode(line)
    except msgspec.MsgspecError:
        return None
    return message


class Observer(Protocol):
    """Receiver of the reports, for metrics, probes and logs."""

    def progress(self, stage: str, detail: str, share: float) -> None:
        """Take note of the progress of a training, or of the wait for the next one."""

    def ended(self, result: str, detail: str) -> None:
        """Take note of the end of a training, one of `RESULTS`."""

    def held_back(self, reasons: tuple[str, ...], **about: Any) -> None:
        """Take note of the candidate that the gate has refused last; no reasons: there is none."""
