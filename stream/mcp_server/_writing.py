"""Tools that write documents of operators; only with `ember mcp --write`."""

from __future__ import annotations

import urllib.parse
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from ._api import ConsoleApi
from ._text import document_answer

Event = Annotated[str, Field(min_length=1, max_length=1_024, description="Id of the event.")]
Note = Annotated[str, Field(max_length=2_000, description="Reason, for the people who read it.")]
Patterns = Annotated[list[str], Field(min_length=1, max_length=200, description="Patterns.")]

_MOST_MINUTES: Final = 7 * 24 * 60


class WritingTools:
    """Tools that write in the name of the person whose token the console has.

    Args:
        api: API of the console.
    """

    def __init__(self, api: ConsoleApi) -> None:
        self._api = api

    def give_feedback(
        self, event: Event, verdict: Literal["false-alarm", "real", "normal-now"], note: Note
    ) -> dict[str, Any]:
        """Say that an event was a false alarm, was real, or is normal from now on.

        It changes which rows of the key fire from now on. Ask the person first.
        """
        body = {"event": event, "verdict": verdict, "note": note}
        return _answer(self._api.post("/api/feedback", body))

    def acknowledge(self, event: Event, note: Note) -> dict[str, Any]:
        """Say that somebody works on an event or an incident, so that it is not repeated."""
        return _answer(self._api.post("/api/acknowledge", {"event": event, "note": note}))

    def silence(
        self,
        keys: Patterns,
        minutes: Annotated[float, Field(gt=0, le=_MOST_MINUTES, description="Length.")],
        reason: Note,
        channels: Patterns = ["*"],  # noqa: B006  # pydantic copies it
    ) -> dict[str, Any]:
        """Silence keys for some minutes: nobody is paged for them. Ask the person first."""
        until_us = int(self._api.get("/api/status")["now_us"] + minutes * 60_000_000)
        body = {"keys": keys, "channels": channels, "until_us": until_us, "reason": reason}
        return _answer(self._api.post("/api/silence", body))

    def remove_document(
        self, document: Annotated[str, Field(description="Document as kind/name.")]
    ) -> dict[str, Any]:
        """Remove a document: the end of a silence, or the way back from feedback."""
        kind, _, name = document.partition("/")
        quoted = [urllib.parse.quote(part, safe="") for part in (kind, name)]
        return _answer(self._api.delete(f"/api/control/{'/'.join(quoted)}"))


def _answer(written: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a write, with the way back."""
    if written["document"] is None:
        return {"removed": written["removed"], "way_back": written["undo"]}
    answer = document_answer(written["document"])
    return {"written": answer, "way_back": f"remove_document {answer['document']}"}
