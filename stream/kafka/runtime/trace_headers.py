"""W3C trace context, carried from a record to the events about it.

People who trace their telemetry find the alert in the same trace. Only records that bring a
`traceparent` cost anything. An event about an interval of several records is in none of their
traces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stream.kafka.protocol.ports import Headers
from stream.records import Decoded, Event, Message

_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_STATE_BYTES = 512  # the size that the standard asks everybody to pass on


def trace_headers(
    messages: Sequence[Message], decoded: Decoded, events: Sequence[Event]
) -> Mapping[tuple[bytes, int], Headers]:
    """Return the trace headers of the records that events are about.

    Args:
        messages: Messages of one slice.
        decoded: Samples of the slice.
        events: Events of the slice.

    Returns:
        Headers by stream key and event time, for records with a valid `traceparent`.
    """
    traced = {
        index: headers for index, message in enumerate(messages) if (headers := trace_of(message))
    }
    # The usual case: nobody traces, and nothing more is done.
    if not traced:
        return {}
    event_samples = {(event.key, event.time_us) for event in events}
    samples = zip(decoded.keys, decoded.time_us.tolist(), decoded.message.tolist(), strict=True)
    return {
        (key, time_us): traced[index]
        for key, time_us, index in samples
        if index in traced and (key, time_us) in event_samples
    }


def trace_of(message: Message) -> Headers:
    """Return the trace headers of a record that has a valid `traceparent`; else none."""
    if not message.headers:
        return []
    headers = dict(message.headers)
    parent, state = headers.get("traceparent"), headers.get("tracestate")
    if parent is None or _PARENT.fullmatch(parent) is None:
        return []
    trace: Headers = [("traceparent", parent)]
    if state and len(state) <= _MAX_STATE_BYTES:
        trace.append(("tracestate", state))
    return trace
