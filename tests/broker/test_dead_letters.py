"""`ember dead-letters` on letters as the worker writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka_client import Send
from stream.cli.dead_letters import SelectionOptions, list_, replay, show
from stream.cli.options import OutputTopicOptions
from stream.errors import UserError
from stream.tools import redrive
from stream.tools.dead_letters import REPLAYS_HEADER
from stream.tools.partitioners import crc32
from tests.broker.conftest import Broker
from tests.broker.small_service import SmallService, body
from tests.e2e.service import ember, last_json

pytestmark = pytest.mark.broker

PARTITIONS = 2
AT_MS = 1_700_000_000_000


class Topics:
    """An input topic, and dead letters of it by number: two reasons in turn."""

    def __init__(self, broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        self.broker = broker
        self.topic = broker.topic("in", PARTITIONS)
        self.letters = f"{self.topic}.dead-letters"
        broker.create({self.letters: PARTITIONS})
        monkeypatch.setenv("EMBER_INPUT__TOPICS", json.dumps([self.topic]))
        monkeypatch.setenv("EMBER_KAFKA__GROUP", broker.name("g"))
        monkeypatch.setenv("EMBER_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap)

    def write(self, numbers: range, *more: tuple[str, bytes]) -> None:
        sends = []
        for n in numbers:
            headers = [
                ("number", b"%d" % n),
                ("__connect.errors.topic", self.topic.encode()),
                ("__connect.errors.partition", b"%d" % (n % PARTITIONS)),
                ("__connect.errors.exception.message", b"why"),
                ("ember.reason", b"empty" if n % 3 == 0 else b"not_json"),
                ("__connect.errors.offset", b"%d" % n),
                *more,
            ]
            sends.append(Send(b"k%d" % n, b"v%d" % n, AT_MS + 1000 * n, n // 3 % 2, headers))
        self.broker.produce(self.letters, sends)

    def came_back(self, topic: str = "") -> list[int]:
        """Numbers of the records that are in the input, or another topic."""
        return sorted(int(r.value[1:]) for r in self.records(topic))

    def records(self, topic: str = "") -> list[Any]:
        return self.broker.consume_all(topic or self.topic)


@pytest.fixture
def topics(broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Topics:
    return Topics(broker, monkeypatch, tmp_path)


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_letter_goes_back_as_it_was_and_only_once(
    topics: Topics, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key, value, headers, timestamp, partition; in several batches."""
    monkeypatch.setattr(redrive, "_BATCH", 3)
    topics.write(range(13))
    assert replay(dry_run=True, json=True) == 0
    assert said(capsys)["reasons"] == {"empty": 5, "not_json": 8}
    assert topics.records() == []
    assert replay(json=True) == 0
    assert said(capsys)["sent"] == 13
    for record in topics.records():
        n = int(record.value[1:])
        assert (record.key, record.timestamp_ms) == (b"k%d" % n, AT_MS + 1000 * n)
        assert record.partition == n % PARTITIONS
        assert record.headers == [("number", b"%d" % n), (REPLAYS_HEADER, b"1")]
    assert topics.came_back() == list(range(13))
    topics.write(range(13, 17))
    replay()
    assert topics.came_back() == list(range(17))
    replay(from_beginning=True, selected=SelectionOptions(("empty",)))
    assert topics.came_back() == sorted([*range(17), *range(0, 17, 3)])


def test_what_is_chosen_is_done_and_the_rest_waits(
    topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    """By reason, by number, by time of the record."""
    topics.write(range(13))
    replay(selected=SelectionOptions(("empty",)), limit=2, json=True)
    assert said(capsys)["sent"] == 2
    replay(selected=SelectionOptions(("empty",)))
    assert topics.came_back() == [0, 3, 6, 9, 12]
    list_(json=True)
    listed = said(capsys)
    assert listed["letters"] == 13
    assert {name: each["waiting"] for name, each in listed["reasons"].items()} == {
        "not_json": 8,
        "empty": 0,
    }
    since = "2023-11-14T22:13:28Z"  # the eighth
    replay(selected=SelectionOptions(since=since), json=True)
    done = said(capsys)
    assert (done["sent"], done["left_behind"]) == (3, 5)
    assert topics.came_back() == [0, 3, 6, 8, 9, 10, 11, 12]
    replay(json=True)
    assert said(capsys)["sent"] == 0
    with pytest.raises(UserError, match="Expected one of not_json"):
        replay(selected=SelectionOptions(("nonsense",)))


def test_what_cannot_go_is_refused_and_counted(
    topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others go all the same."""
    topics.write(range(3))
    topics.write(range(3, 5), ("ember.truncated", b"9"))
    topics.write(range(5, 8), ("ember.offsets", b"40"))
    topics.broker.produce(topics.letters, [Send(b"k", b"somebody's", AT_MS)])
    elsewhere = [("__connect.errors.topic", b"secrets"), ("ember.reason", b"empty")]
    topics.broker.produce(topics.letters, [Send(b"k", b"x", AT_MS, headers=elsewhere)])
    assert replay(json=True) == 1
    done = said(capsys)
    assert done["sent"] == 3
    assert done["refused"] == {
        "cut_off": 2,
        "coordinates_only": 3,
        "not_a_letter": 1,
        "not_of_an_input": 1,
    }
    assert topics.came_back() == [0, 1, 2]


def test_another_topic_gets_them_by_key(topics: Topics) -> None:
    other = topics.broker.topic("other", 5)
    topics.write(range(11))
    with pytest.raises(UserError, match="no topic 'nowhere'"):
        replay(to="nowhere")
    replay(to=other, partitioner="crc32")
    assert topics.came_back(other) == list(range(11))
    assert all(record.partition == crc32(record.key, 5) for record in topics.records(other))
    assert topics.records() == []


def test_what_is_not_delivered_is_not_done(
    embedded: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    topics = Topics(embedded, monkeypatch, tmp_path)
    topics.write(range(5))
    assert embedded.embedded is not None
    embedded.embedded.push_errors("Produce", [10])  # message too large
    with pytest.raises(UserError, match="not delivered"):
        replay()
    replay()
    assert set(topics.came_back()) == set(range(5))


def test_offsets_that_are_refused_are_one_sentence(
    embedded: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what was sent is sent again: at least once."""
    topics = Topics(embedded, monkeypatch, tmp_path)
    topics.write(range(5))
    assert embedded.embedded is not None
    embedded.embedded.push_errors("OffsetCommit", [30])  # no right to the group
    with pytest.raises(UserError, match="offsets were not set"):
        replay()
    replay()
    assert set(topics.came_back()) == set(range(5))


def test_the_newest_are_shown(topics: Topics, capsys: pytest.CaptureFixture[str]) -> None:
    topics.write(range(13))
    show(limit=3, selected=SelectionOptions(("not_json",)), json=True)
    found = said(capsys)
    assert found["letters"] == 8
    assert [record["key"] for record in found["shown"]] == ["k8", "k10", "k11"]
    show(limit=2)
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "11 older ones" in captured.err
    list_()
    assert "not_json" in capsys.readouterr().out


def test_a_service_takes_what_was_mended_and_a_loop_has_an_end(
    broker: Broker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What fails again comes back as a letter that knows how often it was sent."""
    monkeypatch.chdir(tmp_path)
    service = SmallService(broker, tmp_path, PARTITIONS)
    service.run([Send(b"m", b"no json", AT_MS), Send(b"m", body(0), AT_MS)])
    assert replay(source=OutputTopicOptions(config=service.config), max_replays=1, json=True) == 0
    assert said(capsys)["sent"] == 1
    service.run([Send(b"m", body(1), AT_MS)], sent_by_others=1)
    assert service.counts()["not_json"] == 2
    (_, again) = broker.consume_all(f"{service.topic}.dead-letters")
    assert dict(again.headers)[REPLAYS_HEADER] == b"1"
    command = ("dead-letters", "replay", "--config", service.config, "--max-replays", "1")
    done = ember(*command, "--json", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert last_json(done)["refused"] == {"replayed_too_often": 1}
