"""`ember key --html` and `ember explain --html` over files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from stream.cli import main
from stream.cli.key import notes_of
from stream.cli.key_replay import KeyReplay
from stream.cli.key_summary import next_band
from stream.control import ControlSet, Document, Rule
from tests.stream.report import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model, records of three keys, and the events of the first."""
    folder = tmp_path_factory.mktemp("key")
    small.model().save(folder / "model")
    with (folder / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["host", "ts", *small.CHANNELS])
        for table in small.dataset().tables:
            scored = ~table.is_train
            for text, row in zip(table.time_text[scored], table.values[scored], strict=True):
                writer.writerow([table.key.decode(), text, *row.tolist()])
    with (folder / "events.jsonl").open("wb") as file:
        for event in small.result().events:
            head = json.dumps({"id": event.id, "kind": event.kind, "key": event.key.decode()})
            file.write(head[:-1].encode() + b', "body": ' + event.body + b"}\n")
    return folder


def _key(folder: Path, *arguments: str, key: str = "web-1") -> int:
    common = ["--key", "host", "--model", str(folder / "model")]
    return main(["key", key, str(folder / "data.csv"), *common, *arguments])


def _ids(page: str, key: bytes, begin_us: int = 0) -> set[str]:
    return {
        e.id
        for e in small.result().events
        if e.key == key and e.kind == "trigger" and e.time_us >= begin_us
        if f"<code>{e.id}</code>" in page
    }


def test_the_page_has_the_triggers_of_the_backtest(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert _key(folder, "--html", str(page)) == 0
    text = page.read_text("utf-8")
    triggers = [e for e in small.result().events if e.key == b"web-1" and e.kind == "trigger"]
    # A silence is told by the records of other keys, which are not replayed.
    own = {e.id for e in triggers if json.loads(e.body)["labels"]["alertname"] != "EmberKeyStale"}
    assert _ids(text, b"web-1") == own
    assert own


def test_documents_about_the_key_are_named() -> None:
    rules = ControlSet.of(
        Document(
            name=name, author="alice", reason="backups", time="2026-01-01T00:00:00Z", body=body
        )
        for name, body in (
            ("disk", Rule(keys=("web-*",), ignore=True)),
            ("db", Rule(keys=("db-*",), ignore=True)),
        )
    )
    result, rows = small.key_result(small.FAULTY), small.key_result(small.FAULTY).scores[0].details
    assert rows is not None
    replay = KeyReplay(result, small.model(), rows, 0, 1, "telemetry", rules, "kafka:telemetry")
    assert notes_of(replay, small.FAULTY) == [
        ("Records", "kafka:telemetry"),
        ("Documents about it", "rule/disk of alice: backups"),
    ]


def test_hostile_keys_are_text(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert _key(folder, "--html", str(page), key=small.EVIL.decode()) == 0
    assert "<img" not in page.read_text("utf-8")


def test_a_time_range_shows_its_rows(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    times = small.dataset().tables[0].time_us[small.TRAIN :]
    since, until = (str(np.datetime64(int(times[i]), "us")) + "Z" for i in (101, 301))
    assert _key(folder, "--html", str(page), "--since", since, "--until", until) == 0
    assert "201 rows of 3 channels" in capsys.readouterr().err


def test_explain_writes_the_page_of_its_event(folder: Path, tmp_path: Path) -> None:
    firing = next(e for e in small.result().events if e.kind == "trigger" and e.key == b"web-1")
    # The file has one key: its name is that of the file, and the event knows better.
    one_key = tmp_path / "month.csv"
    lines = (folder / "data.csv").read_text().splitlines()
    rows = [line.split(",", 1)[1] for line in lines if line.startswith(("host", "web-1"))]
    one_key.write_text("\n".join(rows) + "\n")
    page = tmp_path / "page.html"
    arguments = ["--events", str(folder / "events.jsonl"), "--html", str(page)]
    arguments += ["--model", str(folder / "model"), "--data", str(one_key)]
    assert main(["explain", firing.id, *arguments]) == 0
    text = page.read_text("utf-8")
    assert text.count('<tr class="this">') == 1
    assert 'class="mark"' in text
    assert "Trigger firing" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--html", "page.pdf"], "Expected a name ending in .html"),
        (["--html", "nowhere/page.html"], "Expected a folder that exists"),
        (["--since", "2h"], "Received: data.csv --since 2h without it"),
        (["--html", "page.html", "--since", "2020-01-01", "--until", "2020-01-02"], "No row of"),
        (["--html", "page.html", "--lead", "long"], "The time is not understood"),
    ],
)
def test_wrong_use_is_one_sentence(
    folder: Path,
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    common = ["--key", "host", "--model", "model"]
    assert main(["key", "web-1", "data.csv", *common, *arguments]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("nobody", "The data have no record of this key. Expected one of their 3 keys"),
        ("late-comer", "No row of key 'late-comer' was scored"),
    ],
)
def test_a_key_without_rows_is_one_sentence(
    folder: Path, key: str, sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    assert _key(folder, "--html", str(page), key=key) != 0
    assert sentence in capsys.readouterr().err
    assert not page.exists()


def test_no_model_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--html", str(folder / "x.html"), "--model", str(folder / "none")]
    assert main(["key", "web-1", str(folder / "data.csv"), "--key", "host", *arguments]) != 0
    assert "none" in capsys.readouterr().err


def test_the_next_row_s_band_is_that_of_the_replay() -> None:
    model, rows = small.model(), small.key_result(small.FAULTY).scores[0].details
    assert rows is not None
    assert model.bands is not None
    fields = {name: value[0].tolist() for name, value in model.key_state.items()}
    first = next_band(model, small.FAULTY, fields)
    for i, name in enumerate(small.CHANNELS):
        # Joint evidence: the band of a key is that of its first row.
        assert [first[name][part] for part in ("usual", "lower", "upper")] == [
            getattr(rows, part)[0, i] for part in ("usual", "lower", "upper")
        ]
    kept = next_band(model, small.FAULTY, fields | {"band": [[-1.0] * 3, [2.0] * 3]})
    scale = model.pipeline.normaliser.scale(model.key_state)[0]
    for i, name in enumerate(small.CHANNELS):
        assert kept[name]["upper"] - kept[name]["usual"] == pytest.approx(2.0 * scale[i])
