"""`ember control` on a control topic, and workers that follow it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.kafka_client import Send
from stream.cli import main
from stream.cli.control import apply as apply_module
from stream.cli.control.topic import read
from stream.codecs import make_codec
from stream.configure import load_model, make_engine
from stream.control import NO_CONTROL, Acknowledgement, ControlSet, Document
from stream.control.files import render_one
from stream.engine import SliceOffsets
from stream.kafka.config import WorkerConfig
from stream.kafka.control_topic import publisher
from stream.kafka.control_topic.publisher import OutdatedError, Stamp
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.broker.judged_stream import MetaRows
from tests.broker.test_reload import ROWS, records
from tests.e2e.service import Service, wait_until
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit

Control = Callable[..., Any]

FIRST = """
[[rule]]
name = "disk"
reason = "backups"
channels = ["disk.*"]
direction = "above"

[[rule]]
name = "batch"
keys = ["batch-*"]
ignore = true
"""
SECOND = """
[[rule]]
name = "disk"
reason = "backups"
channels = ["disk.*"]
direction = "both"
weight = 0.5

[[silence]]
name = "move"
until = 2026-12-01T06:00:00+01:00
"""


def settings_file(broker: Broker, folder: Path, topic: str = "telemetry", more: str = "") -> Path:
    group = broker.name("g")
    if not broker.real:  # it makes no topics when asked
        names = [f"{topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
        names.append(f"{group}-state-{topic}-changelog")
        broker.create(dict.fromkeys(names, 2) | {f"{group}-control": 1})
    path = folder / "ember.toml"
    path.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n[control]\nenabled = true\n'
        "[checkpoint]\ninterval_seconds = 0.4\n[state]\nstandby_replicas = 0\n"
        f"[window]\nstale_intervals = 0\n[http]\nport = 0\n{more}"
    )
    return path


QUIET_A, QUIET_B = (f'[[rule]]\nname = "quiet"\nkeys = ["{key}"]\nignore = true\n' for key in "ab")


def events_of(
    log: list[Any], changes: dict[int, ControlSet], settings: Settings
) -> set[tuple[str, bytes]]:
    """Ids and bodies of one partition's log, with these documents from these offsets on."""
    model = load_model(settings)
    engine, codec = make_engine(settings, model), make_codec("json", model.channels)
    tp = (settings.input.topics[0], log[0].partition)
    engine.attach(tp)
    events: set[tuple[str, bytes]] = set()
    for record in log:
        if record.offset in changes:
            engine.schedule_control(tp, record.offset, changes[record.offset])
            engine.use_control(changes[record.offset])
        stamp = record.timestamp_ms
        slice_offsets = SliceOffsets(np.array([record.offset]), np.array([stamp]))
        decoded = codec.decode([SimpleNamespace(**record._asdict(), timestamp=stamp)])
        result = engine.step(tp, decoded, slice_offsets)
        events |= {(event.id, event.body) for event in result.events}
    return events


@pytest.fixture
def control(capsys: pytest.CaptureFixture[str]) -> Control:
    """Run a command of `ember control`; returns its JSON or text, or its refusal."""

    def run(*arguments: str | Path, plain: bool = False) -> Any:
        code = main(["control", *map(str, arguments), *([] if plain else ["--json"])])
        captured = capsys.readouterr()
        if code or plain:
            return captured.err if code else captured.out
        return json.loads(captured.out)

    return run


@pytest.mark.broker
def test_documents_are_applied_shown_changed_and_removed(
    broker: Broker, tmp_path: Path, control: Control
) -> None:
    config = ("--config", settings_file(broker, tmp_path))
    rules = tmp_path / "rules.toml"
    rules.write_text(FIRST)

    def keys() -> list[str]:
        return [each["key"] for each in control("list", *config)["documents"]]

    assert keys() == []
    assert "Say --yes" in control("apply", rules, *config)
    assert keys() == []
    done = control("apply", rules, "--author", "ada", "--yes", *config)
    assert [(each["key"], each["change"]) for each in done["changes"]] == [
        ("rule/batch", "added"),
        ("rule/disk", "added"),
    ]
    assert keys() == ["rule/batch", "rule/disk"]
    assert control("list", *config)["digest"] == done["digest"]
    # The same file again, by another user, changes nothing.
    again = control("apply", rules, "--author", "bob", "--yes", *config)
    assert (again["changes"], again["digest"]) == ([], done["digest"])
    disk = control("show", "rule/disk", *config)
    assert (disk["author"], disk["reason"], disk["source"]) == ("ada", "backups", "rules.toml")
    exported = tmp_path / "rules.toml"
    exported.write_text(control("export", *config, plain=True))
    assert control("apply", exported, "--yes", *config)["changes"] == []
    # Another version of the file; without --prune nothing is removed.
    rules.write_text(SECOND)
    shown = control("apply", rules, "--author", "bob", "--yes", *config, plain=True)
    assert "-direction" in shown
    assert "+weight = 0.5" in shown
    assert keys() == ["rule/batch", "rule/disk", "silence/move"]
    pruned = control("apply", rules, "--prune", "--reason", "tidy", "--yes", *config)
    assert pruned["changes"] == [{"key": "rule/batch", "change": "removed"}]
    assert "no such document" in control("remove", "rule/batch", "--yes", *config)
    control("remove", "silence/move", "--author", "eve", "--yes", *config)
    assert keys() == ["rule/disk"]
    history = control("history", *config)["changes"]
    assert [(each["author"], each["change"], each["key"]) for each in history][:2] == [
        ("eve", "removed", "silence/move"),
        (pruned_by(history), "removed", "rule/batch"),
    ]
    assert len(history) == 6
    assert len(control("history", "rule/disk", *config)["changes"]) == 2
    assert "bob" in control("history", *config, plain=True)


def pruned_by(history: list[dict[str, Any]]) -> str:
    assert history[1]["reason"] == "tidy"
    return str(history[1]["author"])


@pytest.mark.broker
def test_of_two_who_change_one_document_the_second_is_told(
    broker: Broker, tmp_path: Path, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = settings_file(broker, tmp_path)
    rules = tmp_path / "rules.toml"
    rules.write_text(FIRST)
    control("apply", rules, "--author", "ada", "--yes", "--config", path)
    seen = read(Settings.load(path))
    rules.write_text(SECOND)
    control("apply", rules, "--author", "bob", "--yes", "--config", path)
    monkeypatch.setattr(apply_module, "read", lambda _: seen)
    refused = control("apply", rules, "--author", "eve", "--yes", "--config", path)
    assert "was changed in the meantime, by bob" in refused
    assert "nothing was written" in refused


@pytest.mark.broker
async def test_documents_that_cannot_be_used_are_named_and_can_be_removed(
    broker: Broker, tmp_path: Path
) -> None:
    settings = Settings.load(settings_file(broker, tmp_path))
    config = WorkerConfig.from_settings(settings)
    note = Document(
        name="a", author="ada", time="2026-11-30T12:00:00Z", body=Acknowledgement("f00d")
    )
    stamp = Stamp("ada", "", note.time)
    await publisher.publish(config, [publisher.Edit(note.key, None, note)], stamp)
    broker.produce(settings.control_topic, [Send(b"rule/x", b"{", partition=0)])
    with pytest.raises(OutdatedError):
        await publisher.publish(config, [publisher.Edit(note.key, None, note)], stamp)
    await publisher.publish(config, [publisher.Edit("rule/x", None, None)], stamp)


@pytest.mark.broker
def test_a_topic_of_other_records_is_told_in_one_sentence(
    broker: Broker, tmp_path: Path, control: Control
) -> None:
    """Nothing is written to it either."""
    path = settings_file(broker, tmp_path, more='[control]\nenabled = true\ntopic = "metrics"\n')
    path.write_text(path.read_text().replace("[control]\nenabled = true\n", "", 1))
    broker.create({"metrics": 1})
    sent = [Send(key, b"{}", partition=0) for key in (b"a", b"b", b"history", None)]
    broker.produce("metrics", sent)
    rules = tmp_path / "rules.toml"
    rules.write_text(FIRST)
    calls: list[list[str | Path]] = [["list"], ["export"], ["apply", rules, "--yes"]]
    for words in calls:
        plain = words == ["export"]
        refusal = control(*words, "--config", path, plain=plain)
        assert "is no control topic" in refusal
        assert len(refusal.splitlines()) == 1
    assert len(broker.consume_all("metrics")) == 4


@pytest.mark.broker
def test_an_export_applies_without_a_change_and_a_file_takes_over_with_prune_alone(
    broker: Broker, tmp_path: Path, control: Control
) -> None:
    """Remarks tell of a silence and a calendar that are over. Windows are no change either."""
    config = ("--config", settings_file(broker, tmp_path))
    rules, export = tmp_path / "rules.toml", tmp_path / "export.toml"
    rules.write_text(
        FIRST + '[[silence]]\nname = "past"\nuntil = 2020-01-01T00:00:00Z\n'
        '[[calendar]]\nname = "work"\nzone = "Europe/Berlin"\nweekly = ["sat 22:00-02:00"]\n'
        '[[calendar]]\nname = "over"\nzone = "UTC"\n'
        "windows = [{ begin = 2020-01-01, end = 2020-01-02 }]\n"
    )
    done = control("apply", rules, "--author", "ada", "--yes", *config)
    kinds = [(each["kind"], each["source"]) for each in done["remarks"]]
    ended = [("ended_calendar", "calendar/over"), ("ended_silence", "silence/past")]
    assert sorted(kinds) == ended
    listed = control("list", *config)["remarks"]
    assert sorted(each["source"] for each in listed) == [source for _, source in ended]
    export.write_text(control("export", *config, plain=True))
    again = control("apply", export, "--author", "bob", "--yes", *config)
    assert (again["changes"], again["digest"]) == ([], done["digest"])
    assert [each["source"] for each in control("list", *config)["documents"]] == ["rules.toml"] * 5
    shown = control("apply", export, "--prune", "--yes", *config, plain=True)
    assert "changed (written by ada, " in shown
    assert "-# of rules.toml\n  +# of export.toml" in shown
    assert {each["source"] for each in control("list", *config)["documents"]} == {"export.toml"}


@pytest.mark.broker
def test_another_verdict_on_an_event_is_shown_before_it_replaces_the_first(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str], control: Control
) -> None:
    path, events = settings_file(broker, tmp_path), tmp_path / "events.jsonl"
    labels = {"alertname": "EmberFiring", "key": "a", "topic": "telemetry"}
    channel = {"name": "heat", "share": 1.0, "direction": "above"}
    body = {"labels": labels, "startsAt": "2026-11-30T12:00:00Z", "top_channels": [channel]}
    event = {"id": "f00d" * 8, "kind": "trigger", "topic": "telemetry", "key": "a", "body": body}
    events.write_text(json.dumps(event) + "\n")

    def feedback(verdict: str, author: str, *more: str) -> tuple[int, str]:
        words = ["feedback", event["id"], verdict, "--author", author, "--events", str(events)]
        code = main([*words, "--config", str(path), *more])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    def verdict() -> tuple[str, str]:
        (document,) = control("list", "--config", path)["documents"]
        return document["author"], document["body"]["verdict"]

    assert feedback("false-alarm", "ada", "--note", "nightly")[0] == 0
    code, text = feedback("real", "bob")
    assert code == 2
    assert "changed (written by ada, " in text
    assert '-verdict = "false-alarm"' in text
    assert '-note = "nightly"' in text
    assert "Say --yes" in text
    assert verdict() == ("ada", "false-alarm")
    # The same again is no change, whoever says it.
    code, text = feedback("false-alarm", "bob", "--note", "nightly")
    assert (code, verdict()) == (0, ("ada", "false-alarm"))
    assert "says so already" in text
    assert feedback("real", "bob", "--yes")[0] == 0
    assert verdict() == ("bob", "real")
    assert len(control("history", "--config", path)["changes"]) == 2


def test_a_group_without_a_control_topic_is_told_how_to_have_one(
    tmp_path: Path, control: Control
) -> None:
    path = tmp_path / "ember.toml"
    path.write_text("")
    for words in (["list"], ["history"], ["remove", "rule/a"]):
        assert "Expected control.enabled=true" in control(*words, "--config", path)


@pytest.mark.slow
@pytest.mark.broker
def test_a_running_worker_takes_documents_over_at_noted_offsets_through_kills(
    broker: Broker, tmp_path: Path, control: Control
) -> None:
    """Documents change while it works, and while it is dead; each change has one offset.

    Each event is what one run says that changes documents at these offsets, also one sent twice.
    """
    topic = broker.topic("ruled", 2)
    fit(KNOWN, CHANNELS, rows=307).save(tmp_path / "model")
    config = settings_file(broker, tmp_path, topic, f'[model]\npath = "{tmp_path / "model"}"\n')
    settings = Settings.load(config)
    changelog = f"{settings.kafka.group}-state-{topic}-changelog"
    rules = tmp_path / "rules.toml"

    meta_rows = MetaRows(broker, changelog)
    metas, absorbed, noted = meta_rows.read, meta_rows.absorbed, meta_rows.noted

    def change(text: str) -> str:
        rules.write_text(text)
        done = control("apply", rules, "--prune", "--yes", "--config", config)
        return str(done["digest"])

    worker = Service(tmp_path, config, embedded=not broker.real)
    with contextlib.ExitStack() as running:
        running.enter_context(worker)
        wait_until("the start", lambda: "Running with 2" in worker.log.read_text(), worker)
        wait_until("the note of no documents", lambda: noted() == {""}, worker)
        broker.produce(topic, records(1))
        first = change(QUIET_B)
        wait_until("the first rules", lambda: noted() == {first}, worker)
        wait_until("the first half", lambda: absorbed() == 3 * ROWS, worker)
        worker.kill()
        second = change(QUIET_A)
        broker.produce(topic, records(2))
        worker.start()
        wait_until("the second half", lambda: absorbed() == 6 * ROWS, worker)
        wait_until("the second rules", lambda: noted() == {second}, worker)
        assert worker.stop() == 0
    assert worker.log.read_text().count("documents (") == 2
    sets = {"": NO_CONTROL}
    catalogue = read(settings)
    sets |= {digest: found for digest in (first, second) if (found := catalogue.find(digest))}
    expected: set[tuple[str, bytes]] = set()
    for partition, meta in enumerate(metas()):
        changes = {each["offset"]: sets[each["digest"]] for each in meta["control"]}
        log = [r for r in broker.consume_all(topic) if r.partition == partition]
        expected |= events_of(log, changes, settings)
    published = {
        (dict(record.headers)["ce_id"].decode(), record.value or b"")
        for kind in ("anomalies", "triggers")
        for record in broker.consume_all(f"{topic}.{kind}")
    }
    assert published == expected
    assert any(b'"a"' in body for _, body in expected)
    for meta in metas():
        digests = [each["digest"] for each in meta["control"]]
        offsets = [each["offset"] for each in meta["control"]]
        assert digests in (["", first, second], [first, second])
        assert offsets == sorted(set(offsets))
        # The replay went on with the first rules to the end that the log had at its start.
        assert offsets[-1] == meta["absorbed"] + 1


def test_text_of_a_document_has_no_control_characters() -> None:
    document = Document(
        name="a", author="eve\x1b[2J", time="2026-11-30T12:00:00Z", body=Acknowledgement("e\x07")
    )
    assert all(char.isprintable() or char == "\n" for char in render_one(document))
