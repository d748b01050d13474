"""The pace of rows, by which the page says how rare a row is; and one key of the list."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.stream.console.filled import END_US, STEP_US, filled_console
from tests.stream.console.test_api import client_of, get
from tests.stream.console.test_store import batch


@pytest.fixture
def client() -> Iterator[TestClient]:
    with client_of(filled_console()) as client:
        yield client


def test_the_pace_of_rows_is_told(client: TestClient) -> None:
    """Of a key, of an event's key, of the fleet, and of the model's history."""
    step_seconds = STEP_US / 1e6
    assert get(client, "/api/keys/web-001")["row_seconds"] == step_seconds
    assert get(client, "/api/fleet")["row_seconds"] == step_seconds
    events = get(client, "/api/events")["events"]
    assert {event["row_seconds"] for event in events if event["kind"] == "trigger"} == {
        step_seconds
    }
    assert get(client, "/api/network")["row_seconds"] == 30.0
    console = filled_console(keys=3, hours=0.1)
    console.store.take_scores(batch(np.array([END_US, END_US + 7]), [b"young", b"young"]))
    with client_of(console) as young:
        assert get(young, "/api/keys/young")["row_seconds"] is None


def test_one_key_can_be_asked_for(client: TestClient) -> None:
    """By its name as it is: a pattern would find others too."""
    answer = get(client, "/api/keys", key="web-001")
    assert [row["key"] for row in answer["keys"]] == ["web-001"]
    assert get(client, "/api/keys", key="WEB-001")["total"] == 0
    assert get(client, "/api/keys", key="web-001", pattern="db-*")["total"] == 0
    assert get(client, "/api/keys", key="*")["total"] == 0
