"""Contents of the control topic: the same for all readers, and the past as far as it is kept."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stream.control import MOST_DOCUMENTS, NO_CONTROL, ControlSet, Document, Rule
from stream.kafka.control_topic import catalogue as catalogue_module
from stream.kafka.control_topic.catalogue import ControlCatalogue
from stream.kafka.control_topic.publisher import (
    Edit,
    OutdatedError,
    Stamp,
    edited,
    records_of,
)

STAMP = Stamp("ada", "noise", "2026-11-30T12:00:00Z")
Records = list[tuple[bytes, bytes | None]]


def rule(name: str, weight: float = 0.5) -> Document:
    return Document(
        name=name, author=STAMP.author, time=STAMP.time, body=Rule(keys=("a",), weight=weight)
    )


def edit(catalogue: ControlCatalogue, key: str, after: Document | None) -> Edit:
    return Edit(key, catalogue.by_key().get(key), after)


class Topic:
    """Records of the topic by offset; compaction keeps the last one of each key."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, bytes | None]] = []
        self._end = 0

    def put(self, key: bytes, value: bytes | None) -> None:
        self.records.append((self._end, key, value))
        self._end += 1

    def read(self) -> ControlCatalogue:
        catalogue = ControlCatalogue()
        for record in self.records:
            catalogue.take(*record)
        return catalogue

    def write(self, key: str, after: Document | None) -> ControlSet:
        catalogue = self.read()
        edits = [edit(catalogue, key, after)]
        control = edited(catalogue, edits)
        for record in records_of(catalogue, edits, STAMP):
            self.put(*record)
        return control

    def compact(self) -> None:
        last = {key: offset for offset, key, _ in self.records}
        self.records = [r for r in self.records if last[r[1]] == r[0] and r[2] is not None]


def test_every_former_set_is_found_also_after_a_compaction() -> None:
    rng, topic = random.Random(3), Topic()
    sets = [NO_CONTROL]
    for number in range(60):
        name = f"r{rng.randrange(5)}"
        key = f"rule/{name}"
        gone = rng.random() < 0.3 and key in topic.read().by_key()
        sets.append(topic.write(key, None if gone else rule(name, number / 100)))
        if rng.random() < 0.2:
            topic.compact()
    catalogue = topic.read()
    assert catalogue.current == sets[-1]
    for control in sets:
        found = catalogue.find(control.digest)
        assert found is not None
        assert found.documents == control.documents
    assert catalogue.find("0" * 64) is None
    assert len(catalogue.changes()) == 60
    assert catalogue.changes()[0].after == sets[-1].find(catalogue.changes()[0].key)


def test_a_writer_that_dies_between_two_records_leaves_a_past_that_is_found() -> None:
    """Without transactions a reader sees any beginning of what was written."""
    topic = Topic()
    before = topic.write("rule/a", rule("a"))
    catalogue = topic.read()
    edits = [edit(catalogue, f"rule/{name}", rule(name, 0.25)) for name in ("a", "b", "c")]
    for record in records_of(catalogue, edits, STAMP):
        topic.put(*record)
        found = topic.read().find(before.digest)
        assert found is not None
        assert found.documents == before.documents


def test_the_past_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "KEPT_CHANGES", 5)
    topic = Topic()
    sets = [topic.write("rule/a", rule("a", number / 100)) for number in range(1, 20)]
    catalogue = topic.read()
    assert len(catalogue.changes()) == 5
    assert [catalogue.find(each.digest) is not None for each in sets[-7:]] == [False, *[True] * 6]
    topic.compact()
    assert len(topic.records) == 6


def test_who_has_seen_another_version_writes_nothing() -> None:
    topic = Topic()
    topic.write("rule/a", rule("a"))
    seen = topic.read()
    topic.write("rule/b", rule("b"))  # of no matter to who changes another document
    edited(topic.read(), [edit(seen, "rule/a", rule("a", 0.1))])
    topic.write("rule/a", rule("a", 0.25))
    for after in (rule("a", 0.1), None):
        with pytest.raises(OutdatedError, match="rule/a was changed in the meantime, by ada"):
            edited(topic.read(), [edit(seen, "rule/a", after)])
    with pytest.raises(OutdatedError, match="rule/b"):
        edited(topic.read(), [edit(seen, "rule/b", rule("b", 0.1))])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"rule/a", b"{"),
        (b"rule/a", rule("b").encode()),
        (b"rule/a", rule("a").encode().replace(b'"weight":0.5', b'"weight":-1.0')),
        (b"law/a", rule("a").encode()),
        (b"\xff", b"1"),
        (None, b"1"),
    ],
)
def test_what_cannot_be_used_is_told_and_the_others_stay(key: Any, value: bytes) -> None:
    topic = Topic()
    topic.write("rule/z", rule("z"))
    topic.put(key, value)
    catalogue = topic.read()
    assert [each.key for each in catalogue.current.documents] == ["rule/z"]
    (unusable,) = catalogue.unusable.values()
    assert "Expected" in unusable.reason
    topic.put(key, None)
    assert topic.read().unusable == {}


def test_a_broken_version_takes_the_former_one_along() -> None:
    """A reader that comes after a compaction does not know it: all have to come to one set."""
    topic = Topic()
    topic.write("rule/a", rule("a"))
    topic.put(b"rule/a", b"{")
    early = topic.read().current
    topic.compact()
    assert early == topic.read().current == NO_CONTROL


def test_documents_beyond_the_bound_are_left_out_the_same_for_all() -> None:
    topic = Topic()
    for number in range(MOST_DOCUMENTS + 2):
        topic.put(b"rule/r%d" % number, rule(f"r{number}").encode())
    catalogue = topic.read()
    assert len(catalogue.current.documents) == MOST_DOCUMENTS
    assert {each.key for each in catalogue.unusable.values()} == {
        f"rule/r{MOST_DOCUMENTS}",
        f"rule/r{MOST_DOCUMENTS + 1}",
    }
    topic.put(b"rule/r0", None)
    catalogue.take(MOST_DOCUMENTS + 2, b"rule/r0", None)
    assert catalogue.current == topic.read().current
    assert {each.key for each in catalogue.unusable.values()} == {f"rule/r{MOST_DOCUMENTS + 1}"}


def test_a_change_of_another_version_is_passed_over() -> None:
    topic = Topic()
    topic.write("rule/a", rule("a"))
    topic.put(b"history/000000000007", b'{"unreadable": 1}')
    catalogue = topic.read()
    assert len(catalogue.changes()) == 1
    assert catalogue.unusable == {}
    assert catalogue.next_number() == 8
