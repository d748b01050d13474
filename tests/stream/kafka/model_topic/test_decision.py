"""Decisions about candidates in the model topic: nobody takes what was refused."""

from __future__ import annotations

import itertools
import json

import pytest

from stream.kafka.model_topic.catalogue import KEPT, KEPT_DECISIONS, Catalogue
from stream.kafka.model_topic.decision import Decision
from stream.kafka.model_topic.manifest import Manifest, RecordKey
from tests.stream.kafka.model_topic.test_catalogue import named, published


def decision_of(name: object, *, accepted: bool = False) -> Decision:
    manifest = Manifest(digest=named(name), card_bytes=5, arrays_bytes=10, chunk_bytes=8)
    reasons = () if accepted else ("It pages too often.",)
    return Decision(manifest=manifest, accepted=accepted, reasons=reasons, figures={"pages": 3.5})


def hold_back(catalogue: Catalogue, offsets: itertools.count[int], name: object) -> Decision:
    decision = decision_of(name)
    for number in range(2):
        key = RecordKey(decision.manifest.digest, number).encode()
        catalogue.take(next(offsets), key, b"x")
    assert catalogue.take(next(offsets), decision.key, decision.encode()) is None
    return decision


@pytest.mark.parametrize("accepted", [True, False])
def test_a_record_gives_back_the_decision(accepted: bool) -> None:
    decision = decision_of("a", accepted=accepted)
    assert Decision.decode(decision.key, decision.encode()) == decision


def test_records_that_are_none_decide_nothing() -> None:
    decision = decision_of("a")
    body = json.loads(decision.encode())
    for key, value in (
        (b"else", decision.encode()),
        (None, decision.encode()),
        (decision_of("b").key, decision.encode()),  # its key names another bundle
        (decision.key, b"{"),
        (decision.key, b"[]"),
        (decision.key, json.dumps({**body, "format": 2}).encode()),
        (decision.key, json.dumps({**body, "accepted": "yes"}).encode()),
        (decision.key, json.dumps({k: v for k, v in body.items() if k != "figures"}).encode()),
    ):
        assert Decision.decode(key, value) is None


def test_a_refused_candidate_is_no_bundle_and_its_chunks_stay() -> None:
    catalogue, offsets = Catalogue(), itertools.count()
    one = published(catalogue, offsets, "one")
    refused = hold_back(catalogue, offsets, "two")
    assert [p.manifest for p in catalogue.newest_first()] == [one]
    assert [d.decision for d in catalogue.decisions()] == [refused]
    held_back = catalogue.held_back()
    assert held_back is not None
    assert held_back.decision == refused
    assert catalogue.is_whole(refused.manifest)
    # The next one takes its place; until then a publication leaves it.
    assert catalogue.retired_keys(named("three")) == []
    retired = catalogue.retired_keys(named("three"), held_back=True)
    assert retired == [RecordKey(refused.manifest.digest, n).encode() for n in range(2)]


def test_a_publication_settles_the_refusal_before_it() -> None:
    catalogue, offsets = Catalogue(), itertools.count()
    refused = hold_back(catalogue, offsets, "one")
    key = RecordKey(refused.manifest.digest, None).encode()
    catalogue.take(next(offsets), key, refused.manifest.encode())  # in spite of the gate
    assert catalogue.held_back() is None
    catalogue.take(next(offsets), key, None)
    catalogue.take(next(offsets), refused.key, None)
    assert catalogue.decisions() == []


def test_published_bundles_stay_when_a_candidate_is_held_back() -> None:
    catalogue, offsets = Catalogue(), itertools.count()
    for number in range(KEPT):
        published(catalogue, offsets, number)
    assert catalogue.retired_keys(named("new"), held_back=True) == []
    assert catalogue.retired_keys(named("new"))


def test_old_decisions_are_retired() -> None:
    catalogue, offsets = Catalogue(), itertools.count()
    for number in range(KEPT_DECISIONS + 3):
        decision = decision_of(number, accepted=True)
        catalogue.take(next(offsets), decision.key, decision.encode())
    retired = catalogue.retired_keys(named("new"))
    assert retired == [decision_of(number, accepted=True).key for number in (3, 2, 1, 0)]
