"""`ember train` with known incidents, and the episodes of the history that it lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.stream.cli.test_train_backtest import DATA, FAST, ROWS, ember, write
from tests.stream.engine.conftest import signal

FAULT = "2024-03-01T00:50:00Z..2024-03-01T00:51:30Z"  # rows 300 to 309


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two machines; a fault near the end of each."""
    folder = tmp_path / "data"
    folder.mkdir()
    for n, name in enumerate(("boiler", "pump")):
        values = signal(ROWS, 3, n)
        values[300:310] += 70.0
        write(folder / f"{name}.csv", values, slice(300, 310), ("load", "heat", "flow"))
    return folder


def train(capsys: pytest.CaptureFixture[str], data: Path, *arguments: object) -> tuple[str, str]:
    """Train on the whole data, and return both outputs."""
    code, out, err = ember(capsys, "train", data, *DATA, *FAST, "--out", "m", *arguments)
    assert code == 0, err
    return out, err


def test_episodes_of_the_history_are_listed_and_kept(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    out, _ = train(capsys, data)
    assert "of the history would have paged at these thresholds, in 0.1 days of 2 keys" in out
    assert "  boiler  2024-03-01T00:5" in out
    assert "  pump    2024-03-01T00:5" in out
    assert "--exclude KEY@START..END, or --incidents FILE" in out
    _, shown, _ = ember(capsys, "model", "show", "m")
    assert "boiler  2024-03-01T00:5" in shown


def test_listed_episodes_can_be_given_back(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    """Those of --json are lines of a file of incidents."""
    out, _ = train(capsys, data, "--json")
    worst = json.loads(out)["episodes"]["worst"]
    Path("incidents.jsonl").write_text("\n".join(map(json.dumps, worst)))
    out, err = train(capsys, data, "--json", "--incidents", "incidents.jsonl")
    report = json.loads(out)
    assert report["incidents"]["windows"] == len(worst)
    assert report["incidents"]["outside"] == 0
    starts = {(e["key"], e["start"]) for e in report["episodes"]["worst"]}
    assert not starts & {(e["key"], e["start"]) for e in worst}
    assert "incidents" not in err


def test_windows_and_labels_mark_the_same(capsys: pytest.CaptureFixture[str], data: Path) -> None:
    by_window, _ = train(capsys, data, "--json", "--exclude", FAULT)
    by_label, _ = train(capsys, data, "--json", "--exclude-labelled")
    first, second = json.loads(by_window), json.loads(by_label)
    for report in (first, second):
        assert report["incidents"].pop("windows") in (1, 2)
    left_out = ("seconds", "sha256")
    assert {k: v for k, v in first.items() if k not in left_out} == {
        k: v for k, v in second.items() if k not in left_out
    }
    out, _ = train(capsys, data, "--exclude", FAULT, "--drop-incidents")
    assert "Incidents: 1 incident, 40 rows (6.2 %), left out of tails, curves and thresh" in out
    assert "--drop-incidents" in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--exclude", f"pomp@{FAULT}"), "such as 'pump'. Received: 'pomp'."),
        (("--exclude", "pump@2024-03-01"), "Expected [KEY@]START..END"),
        (("--incidents", "none.csv"), "--incidents none.csv: No such file"),
    ],
)
def test_incidents_that_cannot_be_used_are_one_sentence(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    code, out, err = ember(capsys, "train", data, *DATA, *FAST, "--out", "m", *arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert not Path("m").exists()


def test_a_window_outside_of_the_history_is_told(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    _, err = train(capsys, data, "--exclude", "pump@2023-03-01..2023-03-02", "--exclude", FAULT)
    assert "1 of 2 incidents have no row of a trained key in them" in err
    assert "key 'pump' from 2023-03-01T00:00:00Z to 2023-03-02T00:00:00Z" in err


def test_told_episodes_are_left_out_but_for_false_alarms(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    """The events of a backtest mark the rows of its episodes."""
    train(capsys, data)
    code, _, err = ember(
        capsys, "backtest", data, *DATA, "--model", "m", "--events", "events.jsonl"
    )
    assert code == 0, err
    events = [json.loads(line) for line in Path("events.jsonl").read_text().splitlines()]
    triggers = [event for event in events if event["kind"] == "trigger"]
    told = {(event["key"], event["body"]["startsAt"]) for event in triggers}
    assert {key for key, _ in told} == {"boiler", "pump"}
    out, _ = train(capsys, data, "--json", "--without-episodes", "events.jsonl")
    report = json.loads(out)
    assert report["incidents"]["windows"] == len(told)
    assert report["incidents"]["outside"] == 0
    assert not told & {(e["key"], e["start"]) for e in report["episodes"]["worst"]}

    for event in triggers:
        if event["key"] == "pump":
            event["body"]["annotations"]["feedback"] = "false alarm"
    Path("marked.jsonl").write_text("\n".join(json.dumps(event) for event in triggers))
    out, _ = train(capsys, data, "--json", "--without-episodes", "marked.jsonl")
    boiler = len([key for key, _ in told if key == "boiler"])
    assert json.loads(out)["incidents"]["windows"] == boiler

    code, out, err = ember(
        capsys, "train", data, *DATA, *FAST, "--out", "n", "--without-episodes", "none.jsonl"
    )
    assert (code, out) == (2, "")
    assert "--without-episodes none.jsonl: No such file" in err


def test_training_says_which_faults_it_would_catch(
    capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    """On a terminal, in the summary, and from the bundle."""
    out, _ = train(capsys, data)
    assert "Pages: " in out
    assert "a single channel can reach" in out
    assert "level shift" in out
    _, shown, _ = ember(capsys, "model", "show", "m")
    assert "level shift" in shown
    _, card, _ = ember(capsys, "model", "show", "m", "--json")
    summary, _ = train(capsys, data, "--json")
    expected = json.loads(summary)["expectations"]
    assert json.loads(card)["expectations"] == expected
    assert set(expected) == {"on", "pages_per_key_day", "default", "reach", "faults"}
    assert expected["faults"]["level shift"]["caught"]["5"] > 0.5
