"""Triggers of a key in words: the sentence of each, its cause, and its id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from stream.counts import plural
from stream.records import Event, Evidence, Trigger

from ._words import TimeFormat, esc

MOST = 60
_decoder = msgspec.json.Decoder(Trigger)


def reason_list(events: Iterable[Event], time_format: TimeFormat, marked: Sequence[str]) -> str:
    """Render the triggers of a stretch as a table in order of time; the newest, if there are many.

    Args:
        events: Events of the key, in order of time.
        time_format: Format of times.
        marked: Ids of events that stand out.
    """
    triggers = [event for event in events if event.kind == "trigger"]
    if not triggers:
        return "<p>It has sent no trigger in this time.</p>"
    newest = triggers[-MOST:]
    note = ""
    if len(newest) < len(triggers):
        earlier = plural(len(triggers) - len(newest), "earlier trigger")
        note = f'<p class="soft">{earlier} not shown.</p>'
    rows = "".join(_row(event, time_format, event.id in marked) for event in newest)
    return (
        '<div class="wide"><table class="reasons"><thead><tr><th>time</th>'
        '<th class="text">status</th><th class="text">reason</th><th class="text">event</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>{note}"
    )


def _row(event: Event, time_format: TimeFormat, is_marked: bool) -> str:
    body = _decoder.decode(event.body)
    css = ' class="this"' if is_marked else ""
    status_css = "verdict-true" if body.status == "resolved" else "verdict-false"
    sentences = [str(body.annotations.get("summary", "")), _evidence(body)]
    if body.rules is not msgspec.UNSET and body.rules:
        sentences.append(f"Rules: {', '.join(body.rules)}.")
    text = "<br>".join(esc(sentence) for sentence in sentences if sentence)
    return (
        f"<tr{css}><th>{esc(time_format.moment(event.time_us))}</th>"
        f'<td class="text {status_css}">{esc(body.status)}<br>'
        f'<span class="soft">{esc(body.labels.get("alertname", ""))}</span></td>'
        f'<td class="text">{text}</td>'
        f'<td class="text"><code>{esc(event.id)}</code></td></tr>'
    )


def _evidence(body: Trigger) -> str:
    """Return a sentence on the evidence that the trigger rests on."""
    if not isinstance(body.evidence, Evidence):
        return ""
    evidence = body.evidence
    subject = evidence.channel or "All channels together"
    statistic = "" if evidence.channel is None else f": {evidence.statistic}"
    return f"{subject}{statistic}, since {evidence.since}, severity {evidence.severity:.1f}."
