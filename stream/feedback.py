"""Feedback on events, as documents for the control topic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log10
from typing import Any, Final

from .control.bodies import Feedback, Verdict
from .errors import UserError
from .event_times import parse_time

NAME_DIGITS: Final = 16
"""Digits of an event's id that name its document."""
_LEAST_SHARE: Final = 0.2
"""Share of the blame from which a channel besides the first one belongs to a mark."""
_LIMIT: Final = "EmberLimit"
_UNMARKED: Final = ("EmberKeyStale", "EmberChannelMissing", _LIMIT)


def feedback_of(
    event: str, bodies: Sequence[Mapping[str, Any]], verdict: Verdict, note: str = ""
) -> Feedback:
    """Return feedback on an event.

    Args:
        event: Id of the event.
        bodies: Bodies of the events of its episode, its own first; anomalies among them add
            companions.
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
    threshold, blamed = float(own.get("threshold") or 0.0), _blamed(own)
    if not blamed:
        raise UserError(
            "The channels of this event have no value, so that no mark names a side of them. "
            f"Expected a channel with a value. Received: {top[0]['name']} missing. Write a rule "
            "with ignore = true.",
            exit_code=2,
        )
    raised = {side for body in bodies for side in _blamed(body) | _raised(body, threshold)}
    episode = [own, *(body for body in bodies[1:] if not _is_anomaly(body))]
    peak = max(float(body.get("peak") or body.get("severity") or 0.0) for body in episode)

    def channels(sides: set[tuple[str, str]], direction: str) -> tuple[str, ...]:
        return tuple(sorted(name for name, side in sides if side == direction))

    return Feedback(
        event=event,
        verdict=verdict,
        key=key,
        topic=topic,
        note=note,
        above=channels(blamed, "above"),
        below=channels(blamed, "below"),
        companions_above=channels(raised - blamed, "above"),
        companions_below=channels(raised - blamed, "below"),
        time=time,
        excess=round(max(peak - threshold, 0.0), 3),
    )


def with_episode(
    own: Mapping[str, Any], others: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the bodies of an event's episode, its own first.

    Args:
        own: Body of the event.
        others: Bodies of events of its key, in order of time: its own may be among them.

    Returns:
        Triggers of the episode, and the anomalies between its begin and its end. Alone the event
        where it is no trigger.
    """
    if "reason" not in own:
        return [own]
    alert = own.get("fingerprint"), own.get("startsAt")
    bodies = list(others)
    triggers = [
        body
        for body in bodies
        if "reason" in body and (body.get("fingerprint"), body.get("startsAt")) == alert
    ]
    ends = [time for body in triggers if (time := parse_time(body.get("endsAt")))]
    begin, end = parse_time(own.get("startsAt")), max(ends, default=None)
    anomalies = [
        body
        for body in bodies
        if _is_anomaly(body)
        and begin <= parse_time(body.get("startsAt"))
        and (end is None or parse_time(body.get("startsAt")) < end)
    ]
    return [own, *(body for body in triggers if body != own), *anomalies]


def _is_anomaly(body: Mapping[str, Any]) -> bool:
    return bool((body.get("labels") or {}).get("alertname") == "EmberAnomaly")


def _blamed(body: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the channels with the largest shares in an event, and their sides.

    A missing value lies on no side.
    """
    return {
        (channel["name"], channel["direction"])
        for i, channel in enumerate(body.get("top_channels") or [])
        if (i == 0 or channel["share"] >= _LEAST_SHARE) and channel.get("value", 0.0) is not None
    }


def _raised(body: Mapping[str, Any], threshold: float) -> set[tuple[str, str]]:
    """Return channels and sides of an event that would have paged by themselves.

    An event has the severity of its leading channel only. That of another one follows from the
    shares, which are as powers of ten of the severities; the leading one counts the largest
    severity beside its own.

    Args:
        body: Body of the event.
        threshold: Severity from which a channel pages.
    """
    evidence, top = body.get("evidence") or {}, body.get("top_channels") or []
    if evidence.get("kind") != "channel" or not top or top[0]["name"] != evidence["channel"]:
        return set()
    lead, *shares = (float(channel["share"]) for channel in top)
    lead_severity, next_share = float(evidence["severity"]), max(shares, default=0.0)
    # Either the leading channel has the largest severity, or the next one has.
    severity_of_all = lead_severity - log10(max(min(lead - next_share, 0.5 * lead), 1e-300))
    return {
        (channel["name"], channel["direction"])
        for channel, share in zip(top[1:], shares, strict=True)
        if share > 0.0 and log10(share) + severity_of_all >= threshold
    }
