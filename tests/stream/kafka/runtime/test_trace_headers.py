"""Trace context from records to events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stream.kafka.protocol.outbox import Outbox
from stream.kafka.protocol.positions import Positions
from stream.kafka.runtime.processor import Processor
from stream.kafka.runtime.trace_headers import trace_headers
from stream.records import Decoded, Event
from tests.stream.kafka.fakes import make_context

TP = ("in", 0)
PARENT = b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01"


def message(offset: int, **headers: bytes) -> Any:
    return SimpleNamespace(
        key=b"k", value=b"", offset=offset, timestamp=0, headers=tuple(headers.items())
    )


def decoded(keys: list[bytes], times: list[int], of: list[int]) -> Decoded:
    return Decoded(keys, np.array(times), np.zeros((len(keys), 3)), np.array(of, np.int32), [])


def event(key: bytes, time_us: int) -> Event:
    return Event("anomaly", key, "id", time_us, b"{}")


def test_an_event_is_in_the_trace_of_its_record() -> None:
    """Found by key and time; the others, and what has no trace, get none."""
    messages = [message(0), message(1, traceparent=PARENT, tracestate=b"v=1", other=b"x")]
    batch = decoded([b"a", b"a", b"b"], [5, 7, 7], [0, 1, 1])
    found = trace_headers(messages, batch, [event(b"a", 7), event(b"a", 5)])
    assert found == {(b"a", 7): [("traceparent", PARENT), ("tracestate", b"v=1")]}
    assert trace_headers(messages[:1], decoded([b"a"], [5], [0]), [event(b"a", 5)]) == {}


@pytest.mark.parametrize("parent", [b"", b"00-zz", PARENT + b"x", PARENT.upper(), b"\xff" * 55])
def test_what_is_no_trace_context_is_not_passed_on(parent: bytes) -> None:
    messages = [message(0, traceparent=parent)]
    assert trace_headers(messages, decoded([b"a"], [5], [0]), [event(b"a", 5)]) == {}


def test_a_long_state_is_left_out() -> None:
    messages = [message(0, traceparent=PARENT, tracestate=b"v" * 513)]
    found = trace_headers(messages, decoded([b"a"], [5], [0]), [event(b"a", 5)])
    assert found == {(b"a", 5): [("traceparent", PARENT)]}


async def test_the_event_is_sent_with_it() -> None:
    """Through the whole processor, after the event's own headers."""
    sent: list[Any] = []

    class Sink:
        async def send(self, outgoing: Any) -> Any:
            sent.append(outgoing)

            async def done() -> None:
                return None

            return done()

    batch = decoded([b"a", b"b"], [5, 6], [0, 1])
    result = SimpleNamespace(
        events=[event(b"a", 5), event(b"b", 6)],
        sources=[0, 1],
        details=[],
        rejected=[],
        late=[],
        counts={},
    )
    positions = Positions()
    positions.start(TP, 0, -1)
    engine: Any = SimpleNamespace(
        step_all=lambda *_: result, key_capacity=lambda: 1_000, bound_clocks=lambda *_: []
    )
    codec: Any = SimpleNamespace(decode=lambda _: batch)
    sink: Any = Sink()
    processor = Processor(make_context(), engine, codec, positions, Outbox(sink))
    await processor.process({TP: [message(0, traceparent=PARENT), message(1)]})
    first, second = (dict(outgoing.headers) for outgoing in sent)
    assert first["traceparent"] == PARENT
    assert first["ce_id"] == b"id"
    assert "traceparent" not in second
