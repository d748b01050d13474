"""Feedback on events, as documents for the control topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .control.bodies import Feedback, Verdict
from .errors import UserError

_LEAST_SHARE: Final = 0.2
"""Share of the blame from which a channel besides the first one belongs to a mark."""
_LIMIT: Final = "EmberLimit"
_UNMARKED: Final = ("EmberKeyStale", "EmberChannelMissing", _LIMIT)


def feedback_of(
    event: str, bodies: Sequence[dict[str, Any]], verdict: Verdict, note: str = ""
) -> Feedback:
    """Return feedback on an event.

    Args:
        event: Id of the event.
        bodies: Bodies of the events of its episode, in order of time; its own is the first.
        verdict: Judgement of a person.
        note: Note for others.

    Raises:
        UserError: If a false alarm is no event of the model.
    """
    own = bodies[0]
    labels = own.get("labels") or {}
    key, topic = str(labels.get("key", "")), str(labels.get("topic", ""))
    time = str((own.get("window") or {}).get("start") or own.get("startsAt"))
    if verdict != "false-alarm":
        time = time if verdict == "normal-now" else ""
        return Feedback(event=event, verdict=verdict, key=key, topic=topic, note=note, time=time)
    name, top = str(labels.get("alertname", "")), own.get("top_channels") or []
    if name in _UNMARKED or not top:
        mend = "Change its limit" if name == _LIMIT else "Write a rule with ignore = true"
        raise UserError(
            "This event is none of the model, so that no mark changes it. Expected an anomaly or "
            f"a trigger with channels. Received: {name}. {mend}.",
            exit_code=2,
        )
    # A missing value lies on no side.
    blamed = [
        c
        for i, c in enumerate(top)
        if (i == 0 or c["share"] >= _LEAST_SHARE) and c.get("value", 0.0) is not None
    ]
    if not blamed:
        raise UserError(
            "The channels of this event have no value, so that no mark names a side of them. "
            f"Expected a channel with a value. Received: {top[0]['name']} missing. Write a rule "
            "with ignore = true.",
            exit_code=2,
        )
    peak = max(float(body.get("peak") or body.get("severity") or 0.0) for body in bodies)
    return Feedback(
        event=event,
        verdict=verdict,
        key=key,
        topic=topic,
        note=note,
        above=tuple(c["name"] for c in blamed if c["direction"] == "above"),
        below=tuple(c["name"] for c in blamed if c["direction"] == "below"),
        time=time,
        excess=round(max(peak - float(own.get("threshold") or 0.0), 0.0), 3),
    )
