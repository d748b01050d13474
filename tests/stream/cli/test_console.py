"""`ember console`: mistakes that are named before it serves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream import cli


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("EMBER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_a_console_without_settings_says_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It would wait for the defaults' broker for ever."""
    assert cli.main(["console"]) == 2
    _, err = capsys.readouterr()
    assert "The console has no stream to show. Expected ember.toml" in err
    assert "EMBER_INPUT__TOPICS" in err


@pytest.mark.parametrize("given", ["file", "environment", "option"])
def test_a_console_with_any_settings_serves(
    given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served = []
    monkeypatch.setattr("stream.console.serve.serve", served.append)
    arguments = []
    if given == "file":
        (tmp_path / "ember.toml").write_text('[input]\ntopics = ["plant"]\n')
    elif given == "environment":
        monkeypatch.setenv("EMBER_INPUT__TOPICS", "plant")
    else:
        arguments = ["--bootstrap", "127.0.0.1:1"]
    assert cli.main(["console", *arguments]) == 0
    assert len(served) == 1
