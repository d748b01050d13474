"""Documents of the control topic: bytes, bounds, and sentences about faults."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from stream.control import (
    KINDS,
    MOST_DOCUMENT_BYTES,
    MOST_DOCUMENTS,
    NO_CONTROL,
    Acknowledgement,
    Calendar,
    ControlError,
    ControlSet,
    Document,
    Feedback,
    Rule,
    Silence,
    Window,
)

TIME = "2026-11-30T12:00:00Z"
BODIES: list[Any] = [
    Rule(keys=("web-*",), ignore=True),
    Feedback("e1", "false-alarm", "web-1", "metrics", note="deploy"),
    Calendar(windows=(Window("2026-12-01T00:00:00Z", "2026-12-01T02:00:00Z"),)),
    Silence(until="2026-12-01T00:00:00+01:00", channels=("cpu*",)),
    Acknowledgement("f00d"),
]


def make(body: Any = BODIES[0], name: str = "disk", **fields: Any) -> Document:
    return Document(**{"name": name, "author": "ada", "time": TIME, "body": body, **fields})


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_a_document_comes_back_as_it_was_written(body: Any) -> None:
    document = make(body, reason="noise")
    assert document.kind in KINDS
    assert Document.decode(document.key, document.encode()) == document


def test_every_kind_has_a_body() -> None:
    assert sorted(make(body).kind for body in BODIES) == sorted(KINDS)


def test_defaults_are_not_written() -> None:
    # A field that a later version adds must not change bytes and digests of older documents.
    assert msgspec.json.decode(make(Rule(ignore=True)).encode()) == {
        "name": "disk",
        "author": "ada",
        "time": TIME,
        "body": {"kind": "rule", "ignore": True},
    }


def test_a_set_does_not_depend_on_the_order() -> None:
    documents = [make(body, name) for body in BODIES for name in ("b", "a")]
    sets = {
        ControlSet.of(order) for order in itertools.islice(itertools.permutations(documents), 9)
    }
    assert len(sets) == 1
    (control,) = sets
    assert [each.key for each in control.documents] == sorted(each.key for each in documents)
    assert [name for name, _ in control.rules] == ["a", "b"]
    assert control.digest == ControlSet.of(documents[::-1]).digest != NO_CONTROL.digest


def test_no_documents_have_no_digest() -> None:
    assert NO_CONTROL.digest == ControlSet.of([]).digest == ""
    assert NO_CONTROL.rules == ()


def test_a_change_gives_another_digest_and_its_undoing_the_former_one() -> None:
    control = ControlSet.of([make()])
    changed = control.replace("rule/disk", make(Rule(weight=0.5), name="net"))
    assert changed.digest != control.digest
    assert changed.find("rule/net") == make(Rule(weight=0.5), name="net")
    assert changed.replace("rule/net", make()) == control
    assert control.replace("rule/disk", None) == NO_CONTROL


@dataclass
class Fault:
    field: str
    document: Document


FAULTS = [
    Fault("`name`", make(name="a/b")),
    Fault("`name`", make(name="")),
    Fault("`name`", make(name="x" * 129)),
    Fault("`author`", make(author="")),
    Fault("`source`", make(source="x" * 300)),
    Fault("`reason`", make(reason="x" * 2001)),
    Fault("`time`", make(time="yesterday")),
    Fault("`time`", make(time="2026-11-30T12:00:00")),
    Fault("keys", make(Rule(keys=(), ignore=True))),
    Fault("channels", make(Rule(channels=("",), ignore=True))),
    Fault("topics", make(Rule(topics=("x" * 600,), ignore=True))),
    Fault("`keys`", make(Silence(until=TIME, keys=("x",) * 201))),
    Fault("`until`", make(Silence(until="soon"))),
    Fault("`event`", make(Acknowledgement(""))),
    Fault("`key`", make(Feedback("e", "real", "", "metrics"))),
    Fault("no times", make(Calendar())),
    Fault("`windows[0]`", make(Calendar(windows=(Window(TIME, TIME),)))),
    Fault("`windows[0].end`", make(Calendar(windows=(Window(TIME, "late"),)))),
    Fault("too large", make(Calendar(ical="x" * MOST_DOCUMENT_BYTES))),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.field)
def test_a_fault_is_one_sentence(fault: Fault) -> None:
    with pytest.raises(ControlError) as error:
        fault.document.checked()
    message = error.value.message
    assert fault.field in message
    assert all(word in message for word in ("Expected", "Received"))
    with pytest.raises(ControlError):
        Document.decode(fault.document.key, fault.document.encode())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"null",
        b"[" * 200_000,
        make().encode().replace(b'"ignore"', b'"unknown"'),
        make().encode().replace(b'"rule"', b'"law"'),
        make(name="other").encode(),
        b" " * (MOST_DOCUMENT_BYTES + 1),
    ],
    ids=range(10),
)
def test_what_is_no_document_of_its_key_is_refused(value: bytes) -> None:
    with pytest.raises(ControlError, match="rule/disk"):
        Document.decode("rule/disk", value)


def test_a_set_is_bounded_and_has_no_name_twice() -> None:
    with pytest.raises(ControlError, match="too many"):
        ControlSet.of([make(name=f"n{i}") for i in range(MOST_DOCUMENTS + 1)])
    with pytest.raises(ControlError, match="too many"):
        ControlSet.of([make(Calendar(ical="x" * 60_000), name=f"n{i}") for i in range(80)])
    with pytest.raises(ControlError, match="rule/disk"):
        ControlSet.of([make(), make(Rule(ignore=True))])
