"""Fingerprints of the usual labels are those of any labels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.engine.event_identity import fingerprint_of
from stream.records import fingerprint


@given(st.text(max_size=13), st.text(max_size=300), st.text(max_size=11))
def test_fingerprint_is_that_of_the_labels(alert: str, key: str, topic: str) -> None:
    labels = {"alertname": alert, "key": key, "topic": topic}
    assert fingerprint_of(alert, key, topic) == fingerprint(labels)
