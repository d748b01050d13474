"""W3C trace context, carried from a record to the events about it.

Whoever traces their telemetry finds the alert in the same trace. Only records that bring a
`traceparent` pay for it. An event about an interval of several records is in none of their traces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stream.kafka.protocol.ports import Headers
from stream.records import Decoded, Event, Message

_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MOST_STATE_BYTES = 512  # what the standard asks everybody to pass on


def trace_headers(
    messages: Sequence[Message], decoded: Decoded, events: Sequence[Event]
) -> Mapping[tuple[bytes, int], Headers]:
    """Trace headers of the records that events are about.

    Args:
        messages: One slice.
        decoded: Its samples.
        events: What came of it.

    Returns:
        (stream key, event time) -> headers, of the events whose record had a valid `traceparent`.
    """
    traced = {at: found for at, message in enumerate(messages) if (found := _of(message))}
    if not traced:
        return {}
    wanted = {(event.key, event.time_us) for event in events}
    samples = zip(decoded.keys, decoded.time_us.tolist(), decoded.message.tolist(), strict=True)
    return {
        (key, time_us): traced[at]
        for key, time_us, at in samples
        if at in traced and (key, time_us) in wanted
    }


def _of(message: Message) -> Headers:
    if not message.headers:
        return []
    given = dict(message.headers)
    parent, state = given.get("traceparent"), given.get("tracestate")
    if parent is None or _PARENT.fullmatch(parent) is None:
        return []
    found: Headers = [("traceparent", parent)]
    if state and len(state) <= _MOST_STATE_BYTES:
        found.append(("tracestate", state))
    return found
