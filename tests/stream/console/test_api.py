"""HTTP API of the console, on a store that is filled without Kafka."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from stream.console.app import endpoints, make_app
from stream.console.console import Console
from stream.console.endpoint import MOST_BODY_BYTES
from stream.keys import key_of
from tests.conftest import examples
from tests.stream.console.filled import END_US, TOKEN, USER, filled_console
from tests.stream.console.test_store import batch

HOST = "http://127.0.0.1"
MINUTE = 60_000_000


def client_of(console: Console, **options: Any) -> TestClient:
    return TestClient(make_app(console), base_url=HOST, **options)


@pytest.fixture(scope="module")
def console() -> Console:
    """A console that tests only read."""
    return filled_console(keys=53, hours=1.0)


@pytest.fixture(scope="module")
def client(console: Console) -> Iterator[TestClient]:
    with client_of(console) as client:
        yield client


@pytest.fixture
def writer() -> Iterator[TestClient]:
    """A client of a console of its own, with the token and what protects a write."""
    with client_of(filled_console(keys=17, hours=0.5)) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        client.headers["X-Ember-CSRF"] = client.get("/api/status").json()["csrf"]
        yield client


def get(client: TestClient, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_key_that_may_not_fire_yet_is_not_severe() -> None:
    """It has no severity and no threshold, and comes after keys that have some."""
    console = filled_console(keys=5, hours=0.1)
    rows = batch(np.full(2, END_US), [b"new-1", b"web-001"])
    rows.severity[:], rows.evidence[:], rows.firing[:] = 9.0, 40.0, False
    rows.threshold[0] = np.inf
    console.store.take_scores(rows)
    with client_of(console) as client:
        *_, new = get(client, "/api/keys", sort="severity")["keys"]
        numbers = [new[name] for name in ("severity", "worst", "evidence", "threshold")]
        assert (new["key"], numbers) == ("new-1", [None] * 4)
        series = get(client, "/api/keys/new-1/series")
        assert (series["evidence"], series["threshold"]) == ([40.0], [None])
        fleet = get(client, "/api/fleet", minutes=1, columns=1, pattern="new-1")
        assert base64.b64decode(fleet["cells"])[-1] == 254


def test_status_says_what_is_there_and_what_the_caller_may(client: TestClient) -> None:
    status = get(client, "/api/status")
    assert (status["keys"], status["scores"], status["coverage"]) == (53, True, 0.95)
    assert status["last_us"] == END_US - 30_000_000
    assert (status["can_write"], status["user"]) == (False, None)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    mine = client.get("/api/status", headers=headers).json()
    assert (mine["can_write"], mine["user"]) == (True, USER)
    assert mine["csrf"] != status["csrf"]


def test_keys_are_filtered_ordered_and_paged(client: TestClient) -> None:
    everything = get(client, "/api/keys", limit=1000)
    assert everything["total"] == 53
    firing = [key["firing"] for key in everything["keys"]]
    assert firing == sorted(firing, reverse=True)
    worst = [key["worst"] for key in everything["keys"] if not key["firing"]]
    assert worst == sorted(worst, reverse=True)
    by_name = get(client, "/api/keys", sort="key", limit=1000, pattern="web-*")["keys"]
    names = [key["key"] for key in by_name]
    assert names == sorted(names)
    assert all(name.startswith("web-") for name in names)
    assert get(client, "/api/keys", pattern="WEB", limit=1)["total"] == len(names)
    page = get(client, "/api/keys", sort="key", pattern="web-*", offset=3, limit=2)
    assert [key["key"] for key in page["keys"]] == names[3:5]
    assert page["total"] == len(names)
    only = get(client, "/api/keys", firing=1, limit=1000)["keys"]
    assert {key["key"] for key in only} == {
        event["key"] for event in get(client, "/api/events", status="firing")["events"]
    }
    assert get(client, "/api/keys", channel="nothing")["total"] == 0
    for key in get(client, "/api/keys", channel="cpu", limit=1000)["keys"]:
        assert key["channel"] == "cpu"


def test_the_heat_map_is_that_of_the_rows(client: TestClient, console: Console) -> None:
    fleet = get(client, "/api/fleet", minutes=20, columns=40, sort="key")
    cells = np.frombuffer(base64.b64decode(fleet["cells"]), np.uint8)
    cells = cells.reshape(len(fleet["keys"]), fleet["columns"])
    assert fleet["step_us"] == 30_000_000
    name = "web-001"
    row = fleet["keys"].index(name)
    begin, step = fleet["begin_us"], fleet["step_us"]
    end = begin + step * fleet["columns"]
    series = get(client, f"/api/keys/{name}/series", begin_us=begin, end_us=end, points=1000)
    expected = np.full(fleet["columns"], 255)
    for time_us, severity in zip(series["time_us"], series["severity"], strict=True):
        expected[(time_us - begin) // step] = min(254, round(severity * 20))
    np.testing.assert_array_equal(cells[row], expected)
    assert (cells != 255).any(axis=1).all()


def test_a_series_has_every_channel_or_those_asked_for(client: TestClient) -> None:
    series = get(client, "/api/keys/db-001/series")
    assert series["step_us"] == 0
    assert len(series["time_us"]) == 120
    assert set(series["channels"]) == {"cpu", "mem", "errors", "latency_p99", "requests"}
    for channel in series["channels"].values():
        assert {len(column) for column in channel.values()} == {120}
        assert all(a < b for a, b in zip(channel["lower"], channel["upper"], strict=True))
    assert set(get(client, "/api/keys/db-001/series", channels="mem,cpu")["channels"]) == {
        "mem",
        "cpu",
    }
    few = get(client, "/api/keys/db-001/series", points=7)
    assert 1 <= len(few["time_us"]) <= 7
    assert few["step_us"] > 0
    assert max(few["severity"]) == max(series["severity"])
    answer = client.get("/api/keys/db-001/series", params={"channels": "disk"})
    assert answer.status_code == 404
    assert "disk" in answer.json()["error"]


def test_missing_values_are_null(client: TestClient) -> None:
    name = "db-006"  # key number 26 of 53 sends no `mem`
    series = get(client, f"/api/keys/{name}/series", channels="mem")
    assert set(series["channels"]["mem"]["value"]) == {None}


def test_events_are_paged_without_gaps_or_repeats(client: TestClient) -> None:
    everything = get(client, "/api/events", kind="trigger,anomaly,incident", limit=1000)
    assert everything["next_us"] is None
    starts = [event["starts_us"] for event in everything["events"]]
    assert starts == sorted(starts, reverse=True)
    paged, before = [], None
    while True:
        more = {} if before is None else {"before_us": before}
        page = get(client, "/api/events", kind="trigger,anomaly,incident", limit=3, **more)
        paged += page["events"]
        before = page["next_us"]
        if before is None:
            break
    assert paged == everything["events"]
    kinds = {event["kind"] for event in paged}
    assert kinds == {"trigger", "anomaly", "incident"}
    assert client.get("/api/events", params={"kind": "thing"}).status_code == 400


def test_a_key_has_its_episodes_and_documents(client: TestClient) -> None:
    event = get(client, "/api/events", status="resolved", limit=1)["events"][0]
    key = get(client, f"/api/keys/{event['key']}")
    assert event["id"] in [episode["id"] for episode in key["episodes"]]
    assert event["channels"][0]["share"] == 0.9
    assert event["ends_us"] > event["starts_us"]
    pump = get(client, "/api/keys/pump-001")
    assert [document["key"] for document in pump["documents"]] == ["rule/quiet-pumps"]
    assert client.get("/api/keys/nobody").status_code == 404


def test_members_of_an_incident_know_it(client: TestClient) -> None:
    (incident, *_) = get(client, "/api/incidents")["incidents"]
    member = incident["members"][0]
    events = get(client, "/api/events", key=member["key"])["events"]
    assert incident["id"] in [event["incident"] for event in events]


@pytest.mark.parametrize(
    "name", ["a/b", "50%", "ü €", "..", r"rack\xff7", "series", "a?b#c", "%2F"]
)
def test_any_key_has_a_path(name: str) -> None:
    console = filled_console(keys=3, hours=0.1)
    console.store.take_scores(batch(np.array([END_US]), [key_of(name)]))
    with client_of(console) as client:
        path = f"/api/keys/{quote(name, safe='').replace('.', '%2E')}"
        assert get(client, path)["key"] == name
        assert len(get(client, f"{path}/series")["time_us"]) == 1


# -- writes


def test_every_write_has_an_undo_that_restores_what_was(writer: TestClient) -> None:
    before = get(writer, "/api/control")["documents"]
    event = get(writer, "/api/events", limit=1)["events"][0]["id"]
    requests = [
        ("/api/feedback", {"event": event, "verdict": "false-alarm", "note": "backup"}),
        ("/api/acknowledge", {"event": event, "note": "mine"}),
        ("/api/silence", {"until_us": 2_000_000_000_000_000, "keys": ["web-*"], "reason": "move"}),
        ("/api/control", {"kind": "rule", "name": "quiet-pumps", "body": {"weight": 0.5}}),
        ("/api/control", {"kind": "rule", "body": {"channels": ["cpu"], "ignore": True}}),
        (
            "/api/control",
            {"kind": "calendar", "body": {"weekly": ["sat 22:00-02:00"], "zone": "UTC"}},
        ),
    ]
    for path, body in requests:
        answer = writer.post(path, json=body)
        assert answer.status_code == 200, answer.text
        written = answer.json()
        assert written["document"]["author"] == USER
        assert written["document"] in get(writer, "/api/control")["documents"]
        undo = written["undo"]
        undone = writer.request(undo["method"], undo["path"], json=undo["body"])
        assert undone.status_code == 200, undone.text
        after = get(writer, "/api/control")["documents"]
        assert _contents(after) == _contents(before)
    assert len(get(writer, "/api/control")["history"]) == 2 * len(requests) + 1


def test_a_calendar_has_the_windows_that_workers_need(writer: TestClient) -> None:
    windows = [{"begin": "2026-03-01T08:00:00.000Z", "end": "2026-03-01T10:00:00+01:00"}]
    first = {"windows": windows, "keys": ["web-*"]}
    calendar = {"kind": "calendar", "name": "move", "reason": "a move"}
    answer = writer.post("/api/control", json=calendar | {"body": first})
    assert answer.status_code == 200, answer.text
    begin = 1_772_352_000
    assert answer.json()["document"]["body"]["times"] == [[begin, begin + 3_600]]
    weekly = {"weekly": ["sat 22:00-02:00"], "zone": "UTC", "times": [[1, 2]]}
    answer = writer.post("/api/control", json=calendar | {"body": weekly})
    body = answer.json()["document"]["body"]
    assert len(body["times"]) > 50
    assert {end - begin for begin, end in body["times"]} == {4 * 3_600}
    assert body["until"]
    undo = answer.json()["undo"]
    assert "times" not in undo["body"]["body"]
    answer = writer.request(undo["method"], undo["path"], json=undo["body"])
    assert answer.json()["document"]["body"]["times"] == [[begin, begin + 3_600]]


def _contents(documents: list[dict[str, Any]]) -> list[Any]:
    return [(d["key"], d["body"], d["reason"]) for d in documents]


def test_the_event_shows_what_people_said_of_it(writer: TestClient) -> None:
    event = get(writer, "/api/events", limit=1)["events"][0]
    writer.post("/api/acknowledge", json={"event": event["id"]})
    writer.post("/api/feedback", json={"event": event["id"], "verdict": "real"})
    until = 4_000_000_000_000_000
    writer.post("/api/silence", json={"until_us": until, "keys": [event["key"]]})
    shown = get(writer, "/api/events", limit=1)["events"][0]
    assert shown["acknowledged"]["author"] == USER
    assert shown["feedback"]["body"]["verdict"] == "real"
    assert shown["silenced"]["body"]["keys"] == [event["key"]]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/feedback", {"event": "unknown", "verdict": "real"}, 404),
        ("/api/feedback", {"event": "x", "verdict": "great"}, 400),
        ("/api/acknowledge", {"event": "unknown"}, 404),
        ("/api/silence", {"until_us": 1}, 400),
        ("/api/silence", {"until_us": 2_000_000_000_000_000, "keys": ["a["]}, 400),
        ("/api/control", {"kind": "rule", "body": {"ignore": "yes"}}, 400),
        ("/api/control", {"kind": "rule", "name": "../x", "body": {}}, 400),
        ("/api/control", {"kind": "spell", "body": {}}, 400),
        ("/api/control", {"kind": "calendar", "body": {}}, 400),
        ("/api/control", {"kind": "calendar", "body": {"weekly": ["sat 8-9"], "zone": "x"}}, 400),
        ("/api/control", [], 400),
        ("/api/what-if", {"budget": "many"}, 400),
        ("/api/what-if", {"rules": [{"weight": -1}]}, 400),
        ("/api/what-if", {"pattern": "nobody-*"}, 404),
        ("/api/what-if", {"hours": 1e9}, 400),
    ],
)
def test_mistakes_are_sentences(writer: TestClient, path: str, body: Any, status: int) -> None:
    answer = writer.post(path, json=body)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})
    assert answer.json()["error"].endswith(".")
    assert len(get(writer, "/api/control")["documents"]) == 1


def test_bodies_are_bounded(writer: TestClient) -> None:
    answer = writer.post("/api/feedback", content=b"x" * (MOST_BODY_BYTES + 1))
    assert answer.status_code == 413


def test_a_document_that_somebody_else_changed_is_not_overwritten(writer: TestClient) -> None:
    """Two people have seen one version: the second one's write is refused."""
    console = filled_console(keys=3, hours=0.1)
    store = console.store
    with client_of(console) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        client.headers["X-Ember-CSRF"] = client.get("/api/status").json()["csrf"]
        seen = store.documents
        rule = {"kind": "rule", "name": "quiet-pumps", "body": {"weight": 0.5}}
        assert client.post("/api/control", json=rule).status_code == 200
        store.documents = seen  # as on another console that has not read the change yet
        answer = client.post("/api/control", json=rule | {"body": {"weight": 0.7}})
        assert answer.status_code == 409
        assert "changed in the meantime" in answer.json()["error"]


def test_without_documents_writes_say_what_to_set() -> None:
    console = filled_console(keys=3, hours=0.1)
    console.writer = None
    with client_of(console) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        client.headers["X-Ember-CSRF"] = client.get("/api/status").json()["csrf"]
        answer = client.post("/api/silence", json={"until_us": 2_000_000_000_000_000})
        assert answer.status_code == 409
        assert "control.enabled" in answer.json()["error"]
        assert client.get("/api/status").json()["can_write"] is False


# -- replays


def test_a_key_that_fired_before_the_hours_fires() -> None:
    """Its trigger is not among those that were read, and its rows say so."""
    console = filled_console(keys=3, hours=0.1)
    for firing in (True, False):
        rows = batch(np.array([END_US + firing]), [b"long"])
        rows.firing[:] = firing
        console.store.take_scores(rows)
        with client_of(console) as client:
            keys = get(client, "/api/keys", pattern="long")["keys"]
            assert [key["firing"] for key in keys] == [firing]


def test_a_what_if_says_which_pages_go(writer: TestClient) -> None:
    key = get(writer, "/api/events", limit=1)["events"][0]["key"]
    channel = get(writer, "/api/events", limit=1)["events"][0]["channels"][0]["name"]
    question = {"keys": [key], "rules": [{"channels": [channel], "ignore": True}]}
    answer = writer.post("/api/what-if", json=question).json()
    assert answer["keys"] == 1
    assert answer["pages_before"] > answer["pages_after"]
    assert set(answer["gone"]) <= {episode["id"] for episode in answer["before"]}
    assert writer.delete("/api/what-if").json() == {"cancelled": False}


def test_a_what_if_without_a_change_is_refused(writer: TestClient) -> None:
    answer = writer.post("/api/what-if", json={"keys": ["web-001"], "hours": 2})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("There is nothing to try. Expected a budget")


def test_the_wiring_and_the_neurons_of_a_key_have_the_same_names(client: TestClient) -> None:
    network = get(client, "/api/network")
    ids = {neuron["id"] for layer in network["layers"] for neuron in layer["neurons"]}
    assert all({synapse["from"], synapse["to"]} <= ids for synapse in network["synapses"])
    assert {synapse["sign"] for synapse in network["synapses"]} == {-1, 1}
    time_us = END_US - 10 * MINUTE
    lit = get(client, "/api/keys/web-002/activations", time_us=time_us)
    assert set(lit["activations"]) == ids
    assert lit["time_us"] == time_us
    assert set(lit["forecast"]) == set(network["channels"])
    assert client.get("/api/keys/web-002/activations?time_us=5").status_code == 404


# -- documents of the API itself


def test_every_endpoint_is_in_the_openapi_document(client: TestClient) -> None:
    document = get(client, "/api/openapi.json")
    for endpoint in endpoints():
        operation = document["paths"][endpoint.path][endpoint.method.lower()]
        names = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert names == set(re.findall(r"\{(\w+)\}", endpoint.path))
    text = client.get("/api/openapi.json").text
    for name in set(re.findall(r"#/components/schemas/(\w+)", text)):
        assert name in document["components"]["schemas"]


@pytest.mark.parametrize(
    "path", ["/", "/keys/web-1", "/keys/a%2Fb", "/incidents", "/what-if", "/network", "/health"]
)
def test_deep_links_serve_the_page(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_a_wrong_address_is_a_page_for_browsers_and_json_for_programs(client: TestClient) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = client.get("/nothing/here", headers=browser)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    for path in ("/api/nothing", "/static/nothing.js"):
        answer = client.get(path, headers=browser)
        assert (answer.status_code, answer.json()) == (404, {"error": "There is nothing here."})
    assert client.get("/nothing/here").json() == {"error": "There is nothing here."}


def test_probes_follow_the_reading(console: Console, client: TestClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200
    console.reading.phase = "waiting"
    assert client.get("/readyz").status_code == 503
    console.reading.phase = "running"
    assert client.get("/nothing").json() == {"error": "There is nothing here."}
    assert client.put("/api/keys").status_code == 405
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/%2e%2e/app.py").status_code == 404


PATHS = [endpoint.path for endpoint in endpoints() if endpoint.method == "GET"]
NAMES = [
    *("begin_us", "end_us", "points", "channels", "kind", "key", "status", "limit", "before_us"),
    *("pattern", "channel", "firing", "sort", "offset", "minutes", "columns", "time_us", "x"),
]
VALUES = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=40),
    st.sampled_from(["", "*", "[", "[!]", "trigger", "key", "0", "1", "web-001", "nan", "1e400"]),
)


@given(
    path=st.sampled_from(PATHS),
    key=st.one_of(st.text(min_size=1, max_size=20), st.just("web-001")),
    query=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5),
)
@example(path="/api/keys", key="x", query={"pattern": "[[" * 200})
@example(path="/api/fleet", key="x", query={"minutes": "0.000001", "columns": "2000"})
@example(path="/api/keys/{key}/series", key="web-001", query={"begin_us": "0", "points": "1"})
@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_query_is_an_error_of_the_server(
    client: TestClient, path: str, key: str, query: dict[str, str]
) -> None:
    encoded = quote(key.encode("utf-8", "surrogatepass"), safe="")
    answer = client.get(path.replace("{key}", encoded), params=_sendable(query))
    assert answer.status_code in (200, 400, 404), answer.text
    if answer.status_code != 200:
        assert set(answer.json()) == {"error"}


def _sendable(query: dict[str, str]) -> dict[str, str]:
    return {name: text.encode("utf-8", "replace").decode() for name, text in query.items()}


BODIES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = ["kind", "name", "reason", "body", "event", "verdict", "note", "until_us", "keys", "rules"]


@given(
    path=st.sampled_from([e.path for e in endpoints() if e.method == "POST"]),
    body=st.one_of(BODIES, st.dictionaries(st.sampled_from(FIELDS), BODIES, max_size=5)),
)
@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_body_is_an_error_of_the_server(writer: TestClient, path: str, body: Any) -> None:
    answer = writer.post(path, json=body)
    assert answer.status_code in (200, 400, 404, 409), answer.text
