"""Time of the next training: it follows from the model topic, not from the start of a process."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from stream.kafka.model_topic.catalogue import Catalogue
from stream.kafka.model_topic.decision import Decision
from stream.kafka.model_topic.manifest import Manifest, RecordKey
from stream.learn.lengths import length_text
from stream.learn.schedule import FIRST_AGAIN_SECONDS, Pauses, seconds_until_training

NOW = 1_767_225_600.0
HOUR, DAY, WEEK = 3_600.0, 86_400.0, 604_800.0


def manifest(seconds_ago: float, name: str = "m") -> Manifest:
    when = datetime.fromtimestamp(NOW - seconds_ago, UTC).isoformat().replace("+00:00", "Z")
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Manifest(digest=digest, card_bytes=1, arrays_bytes=1, published_at=when)


def catalogue_of(
    *, published: float | None = None, refused: float | None = None, text: str = ""
) -> Catalogue:
    """A topic with a bundle and a refusal, each so many seconds old."""
    catalogue = Catalogue()
    if published is not None:
        bundle = manifest(published)
        catalogue.take(0, RecordKey(bundle.digest, None).encode(), bundle.encode())
    if refused is not None:
        decision = Decision(manifest=manifest(refused, "other"), accepted=False, reasons=("no",))
        catalogue.take(1, decision.key, decision.encode())
    return catalogue


@pytest.mark.parametrize(
    ("published", "refused", "every", "seconds"),
    [
        (None, None, None, 0.0),
        (None, None, WEEK, 0.0),
        (DAY, None, None, None),  # once is enough
        (DAY, None, WEEK, 6 * DAY),
        (8 * DAY, None, WEEK, 0.0),
        (8 * DAY, DAY, WEEK, 6 * DAY),  # the refused one counts as a training
        (DAY, 8 * DAY, WEEK, 6 * DAY),
        (-30 * DAY, None, WEEK, WEEK),  # a publisher's clock was ahead
        (None, 60.0, None, FIRST_AGAIN_SECONDS - 60),
        (None, 60.0, WEEK, FIRST_AGAIN_SECONDS - 60),
        (None, 60.0, 90.0, 30.0),
    ],
)
def test_the_next_training(
    published: float | None, refused: float | None, every: float | None, seconds: float | None
) -> None:
    catalogue = catalogue_of(published=published, refused=refused)
    has_model = published is not None
    assert seconds_until_training(catalogue, every, NOW, has_model=has_model) == seconds


def test_a_bundle_that_no_worker_can_use_does_not_put_the_first_training_off() -> None:
    assert seconds_until_training(catalogue_of(published=DAY), WEEK, NOW, has_model=False) == 0.0


def test_a_time_that_is_none_lets_the_training_begin() -> None:
    catalogue, bundle = Catalogue(), manifest(0.0)
    value = bundle.encode().replace(bundle.published_at.encode(), b"some day")
    catalogue.take(0, RecordKey(bundle.digest, None).encode(), value)
    assert seconds_until_training(catalogue, WEEK, NOW, has_model=True) == 0.0


def test_pauses_grow_up_to_a_bound_and_begin_anew() -> None:
    pauses = Pauses()
    lengths = [pauses.next() for _ in range(9)]
    assert lengths == sorted(lengths)
    assert lengths[0] < 10
    assert lengths[-1] == lengths[-2] == 3_600
    pauses.reset()
    assert pauses.next() == lengths[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (86_399, "23 h"),
        (86_400, "1 d"),
        (90_000, "25 h"),
        (60, "1 min"),
        (61, "61 s"),
        (0.2, "0 s"),
    ],
)
def test_a_length_is_never_rounded_up(seconds: float, text: str) -> None:
    """History of 23.9 hours is not "24 h of 1 d"."""
    assert length_text(seconds) == text
