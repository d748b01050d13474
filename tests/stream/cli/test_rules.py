"""`ember backtest --rules` and `ember rules suggest` from the command line."""

from __future__ import annotations

import json
import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream import cli
from stream.control.rules import Rule
from stream.rule_suggestion import literal, suggestions
from stream.rule_trial import pages
from tests.stream.engine.conftest import CHANNELS, KNOWN, START, fit, signal

ROWS = 460
DATA = ("--key", "key", "--time", "at")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("EMBER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def ember(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and telemetry: heat rises twice on key a, load once on key b."""
    folder = tmp_path_factory.mktemp("rules")
    model: FleetModel = fit(KNOWN, CHANNELS)
    model.save(folder / "model")
    lines = ["key,at," + ",".join(CHANNELS)]
    for number, key in enumerate(KNOWN[:2]):
        values = signal(ROWS, 3, number, part=5)
        if key == b"a":
            values[150:153, 1] += 60.0
            values[400:412, 1] += 50.0
        else:
            values[150:160, 0] += 60.0
        for i, row in enumerate(values):
            at = START // 1_000_000 + 10 * i
            lines.append(",".join((key.decode(), str(at), *(repr(float(v)) for v in row))))
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    return folder


def triggers(path: Path) -> list[dict]:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return [e for e in events if e["kind"] == "trigger"]


def backtest(folder: Path, *more: object) -> tuple[object, ...]:
    return ("backtest", folder / "data.csv", *DATA, "--model", folder / "model", *more)


def test_backtest_says_what_rules_change(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "rules.toml").write_text(
        '[[rule]]\nname = "heat"\nkeys = ["a"]\nchannels = ["heat"]\nignore = true\n'
        '[[rule]]\nname = "never"\nkeys = ["z*"]\nweight = 0.1\n'
        '[[rule]]\nname = "hot"\nkeys = ["b"]\nchannels = ["load"]\nlimit = { above = -1e9 }\n'
    )
    code, plain, _ = ember(capsys, *backtest(folder, "--json"))
    assert code == 0
    assert "rules" not in json.loads(plain)
    code, out, err = ember(
        capsys, *backtest(folder, "--rules", "rules.toml", "--events", "e.jsonl", "--json")
    )
    assert code == 0, err
    changes = json.loads(out)["rules"]
    assert changes["pages_before"] == 3
    assert [p["channels"][0] for p in changes["gone"]] == ["heat", "heat"]
    assert [(p["alertname"], p["key"]) for p in changes["new"]] == [("EmberLimit", "b")]
    assert changes["rules"] == {
        "heat": {"gone": 2, "new": 0, "kept": 0},
        "hot": {"gone": 0, "new": 1, "kept": 0},
        "never": {"gone": 0, "new": 0, "kept": 0},
    }
    bodies = [e["body"] for e in triggers(tmp_path / "e.jsonl")]
    assert {b["labels"]["alertname"] for b in bodies} == {"EmberFiring", "EmberLimit"}
    code, out, _ = ember(capsys, *backtest(folder, "--rules", "rules.toml"))
    assert "Rules: 3 pages without them, 2 with them; 2 gone, 1 new" in out
    assert "rule heat: pages 2 gone, 0 new, 0 kept" in out


def test_backtest_names_rules_that_are_for_nothing(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    """A wrong letter in a pattern must not look like a rule that changes nothing."""
    (tmp_path / "rules.toml").write_text(
        '[[rule]]\nname = "heat"\nkeys = ["a"]\nchannels = ["heat"]\nignore = true\n'
        '[[rule]]\nname = "key"\nkeys = ["wbe-*"]\nignore = true\n'
        '[[rule]]\nname = "channel"\nchannels = ["haet"]\nignore = true\n'
        '[[rule]]\nname = "topic"\ntopics = ["elsewhere"]\nignore = true\n'
    )
    code, out, err = ember(capsys, *backtest(folder, "--rules", "rules.toml", "--json"))
    assert code == 0
    remarks = [r for r in json.loads(out)["remarks"] if r["kind"] == "unmatched_rule"]
    assert [r["text"].split()[1] for r in remarks] == ["channel", "key", "topic"]
    assert "rule key is for no key. Expected some of these keys of topic telemetry: a, b" in err
    assert "Received: haet" in err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ("[[rule]]\nignore = true\n", "no name"),
        ('[[rule]]\nname = "x"\n', "changes nothing"),
        ('[[rule]]\nname = "x"\nignored = true\n', "ignored"),
    ],
)
def test_wrong_rules_get_one_sentence(
    capsys: pytest.CaptureFixture[str], folder: Path, text: str | None, problem: str
) -> None:
    if text is not None:
        Path("rules.toml").write_text(text)
    code, _, err = ember(capsys, *backtest(folder, "--rules", "rules.toml"))
    assert code in (1, 2)
    assert problem in err
    assert "Traceback" not in err


def test_suggest_proposes_a_rule_that_keeps_the_events_quiet(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """And names what else it takes away: at most the other fault of this channel and key."""
    assert ember(capsys, *backtest(folder, "--events", "e.jsonl"))[0] == 0
    told = triggers(Path("e.jsonl"))
    first = told[0]["id"]
    code, out, err = ember(capsys, "rules", "suggest", first, "--events-file", "e.jsonl")
    assert code == 0, err
    (rule,) = tomllib.loads(out)["rule"]
    assert (rule["keys"], rule["topics"], rule["channels"]) == (["a"], ["telemetry"], ["heat"])
    assert "usual_range" in rule
    assert "Not tried" in err
    more = ("--events-file", "e.jsonl", "--data", folder / "data.csv", *DATA)
    more = (*more, "--model", folder / "model", "--name", "heat")
    code, out, err = ember(capsys, "rules", "suggest", first, *more, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert {(p["key"], *p["channels"]) for p in result["also_quiet"]} <= {("a", "heat")}
    Path("rules.toml").write_text(result["rule"])
    code, out, _ = ember(capsys, *backtest(folder, "--rules", "rules.toml", "--json"))
    changes = json.loads(out)["rules"]
    assert changes["rules"]["heat"]["gone"] == 1 + len(result["also_quiet"])
    assert changes["pages_after"] == 3 - changes["rules"]["heat"]["gone"]
    # Both events, as a file: one rule for them, and no other page of the key is left to take away.
    both = [e for e in Path("e.jsonl").read_text().splitlines() if '"key": "a"' in e]
    Path("both.jsonl").write_text("\n".join(e for e in both if '"trigger"' in e) + "\n")
    code, out, err = ember(capsys, "rules", "suggest", "both.jsonl", *more, "--json")
    assert code == 0, err
    Path("rules.toml").write_text(json.loads(out)["rule"])
    code, out, _ = ember(capsys, *backtest(folder, "--rules", "rules.toml", "--json"))
    assert json.loads(out)["rules"]["rules"]["heat"]["gone"] == 2


def test_suggest_says_what_else_it_keeps_quiet() -> None:
    """A page of the same alert that overlaps none with the rule, and was not given."""
    pages_before, pages_after = (pages(_bodies(*starts)) for starts in ((0, 10, 20), (10,)))
    gone = [p for p in pages_before if not any(map(p.overlaps, pages_after))]
    assert [p.start_us for p in gone] == [0, 20 * 60_000_000]


def _bodies(*minutes: int) -> list[dict]:
    return [
        {
            "status": status,
            "labels": {"alertname": "EmberFiring", "key": "a", "topic": "t"},
            "fingerprint": "f",
            "startsAt": f"1970-01-01T00:{minute:02}:00Z",
            "endsAt": f"1970-01-01T00:{minute + 5:02}:00Z" if status == "resolved" else None,
        }
        for minute in minutes
        for status in ("firing", "resolved")
    ]


def test_suggest_needs_events_of_the_model(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    Path("rules.toml").write_text('[[rule]]\nname = "x"\nlimit = { above = -1e9 }\n')
    assert ember(capsys, *backtest(folder, "--rules", "rules.toml", "--events", "e.jsonl"))[0] == 0
    limit = next(e for e in triggers(Path("e.jsonl")) if "EmberLimit" in json.dumps(e))
    code, _, err = ember(capsys, "rules", "suggest", limit["id"], "--events-file", "e.jsonl")
    assert code == 2
    assert "Change or remove the limit itself" in err
    code, _, err = ember(capsys, "rules", "suggest", "ffffffffff", "--events-file", "e.jsonl")
    assert code == 2
    assert "fits 0 events" in err


def test_the_last_digit_of_a_range_leaves_the_values_in() -> None:

    rng = np.random.default_rng(3)
    for _ in range(200):
        value, expected = rng.normal(size=2) * 10.0 ** rng.integers(-6, 9)
        body = {
            "labels": {"alertname": "EmberFiring", "key": "a*", "topic": "t"},
            "top_channels": [
                {
                    "name": "x",
                    "value": value,
                    "expected": expected,
                    "direction": "above" if value > expected else "below",
                }
            ],
        }
        rule = next(suggestions([body]))
        assert isinstance(rule, Rule)
        assert rule.usual_range is not None
        low, high = rule.usual_range
        assert low <= min(value, expected) <= max(value, expected) <= high
        assert rule.keys == (literal("a*"),) == ("a[*]",)
        assert rule.is_for_key("t", "a*")
        assert not rule.is_for_key("t", "ab")


def test_backtest_says_what_a_calendar_changes(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    """Its windows are those of the data's time, whenever that is; one for no key is named."""
    begin, end = (
        datetime.fromtimestamp(START // 1_000_000 + 10 * row, UTC).isoformat() for row in (390, 420)
    )
    (tmp_path / "work.toml").write_text(
        f'[[calendar]]\nname = "move"\nkeys = ["a"]\ngrace = "1m"\n'
        f"windows = [{{ begin = {begin}, end = {end} }}]\n"
        '[[calendar]]\nname = "never"\nkeys = ["z*"]\nzone = "UTC"\n'
        'weekly = ["daily 00:00-24:00"]\n'
        '[[calendar]]\nname = "later"\nzone = "UTC"\n'
        "windows = [{ begin = 2099-01-01, end = 2099-01-02 }]\n"
    )
    code, out, err = ember(capsys, *backtest(folder, "--rules", "work.toml", "--json"))
    assert code == 0, err
    summary = json.loads(out)
    assert summary["planned"] == {"rows": 30, "in_grace": 6}
    (gone,) = summary["rules"]["gone"]
    assert (gone["key"], gone["startsAt"] >= begin[:19]) == ("a", True)
    assert summary["rules"]["rules"]["calendar/move"] == {"gone": 1, "new": 0, "kept": 0}
    remarks = [each["text"] for each in summary["remarks"] if each["kind"] == "unmatched_rule"]
    assert [text.split()[1] for text in remarks] == ["later", "never"]
    code, out, _ = ember(capsys, *backtest(folder, "--rules", "work.toml"))
    assert "Planned work: 30 rows, and 6 in its grace" in out
