"""The command line as a whole: help, typos, errors, and the commands about settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream import cli
from stream.errors import UserError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("EMBER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, with a sentence each."""
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name in ("demo", "train", "backtest", "run", "replay", "tail", "doctor", "config"):
        assert name in out


def test_help_imports_nothing_heavy() -> None:
    """What makes `ember --help` quick, without looking at a clock."""
    script = (
        "import sys; from stream.cli import main; main(['--help']);"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    root = Path(__file__).resolve().parents[3]
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "pandas", "faust", "aiokafka", "pydantic", "msgspec", "confluent_kafka"}
    assert set(found.stderr.split()) & heavy == set()


def test_typos_are_answered_with_the_right_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong use is exit code 2, on stderr, without a traceback."""
    for arguments, words in (
        (["tial"], 'Did you mean "tail"?'),
        (["config", "shw"], 'Did you mean "show"?'),
        (["schema", "--jsno"], "--jsno"),
        (["schema", "anomly"], '"anomaly"'),
    ):
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (2, "")
        assert words in err
        assert "Traceback" not in err


def test_a_user_error_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its exit code."""
    from stream.cli import schema

    def fail(*arguments: object) -> None:
        raise UserError("The disk is full.", exit_code=1)

    monkeypatch.setattr(schema, "schema", fail)
    assert run(capsys, "schema") == (1, "", "The disk is full.\n")


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else keeps its traceback."""
    from stream.cli import schema

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(schema, "schema", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["schema"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Something that begins with a number, installed or not."""
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out[0].isdigit()


def test_config_show(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Effective values with their source; `--json` is one object on the last line."""
    monkeypatch.setenv("EMBER_KAFKA__GROUP", "night")
    Path("my.toml").write_text('[input]\ntopics = ["x"]\n')
    code, out, err = run(capsys, "config", "show", "--config", "my.toml")
    assert (code, err) == (0, "")
    assert "# EMBER_KAFKA__GROUP" in out
    assert "# my.toml" in out
    code, out, _ = run(capsys, "config", "show", "--json", "--config", "my.toml")
    shown = json.loads(out.splitlines()[-1])
    assert shown["kafka"]["group"] == {"value": "night", "source": "EMBER_KAFKA__GROUP"}
    assert shown["input"]["topics"] == {"value": ["x"], "source": "my.toml"}


def test_config_check(capsys: pytest.CaptureFixture[str]) -> None:
    """0 and a word when fine, 2 and the sentences when not, expressions included."""
    assert run(capsys, "config", "check") == (0, "", "The settings are fine.\n")
    Path("ember.toml").write_text('[kafka]\ngruop = "x"\n[http]\nport = -1\n')
    code, out, err = run(capsys, "config", "check", "--json")
    assert code == 2
    assert json.loads(out) == {"ok": False, "mistakes": err.splitlines()}
    assert len(err.splitlines()) == 2
    Path("ember.toml").write_text('[input]\nkey = "tags."\n')
    code, _, err = run(capsys, "config", "check")
    assert code == 2
    assert "`input.key` cannot be read at character 6" in err


def test_schemas_are_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the file and of the events."""
    code, out, _ = run(capsys, "config", "schema")
    assert code == 0
    assert json.loads(out)["title"] == "ember.toml"
    code, out, _ = run(capsys, "schema")
    assert code == 0
    assert set(json.loads(out)["$defs"]) >= {"Anomaly", "Trigger", "TopChannel"}
    _, out, _ = run(capsys, "schema", "trigger")
    trigger = json.loads(out)["$defs"]["Trigger"]["properties"]
    assert {"startsAt", "top_channels", "reason"} <= set(trigger)
