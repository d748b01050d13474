"""`ember record` and the file that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.cli import main
from tests.stream.cli.init.programs import by_host, readings, write_dump


def test_a_file_that_is_there_stays_unless_it_is_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dump = write_dump(Path("dump.jsonl"), readings(by_host))
    assert main(["init", str(dump)]) == 0
    out = Path("history.jsonl")
    out.write_text("mine\n")
    words = ["record", f"kcat:{dump}", str(out)]
    assert main(words) == 2
    assert "history.jsonl is there already" in capsys.readouterr().err
    assert out.read_text() == "mine\n"
    assert main([*words, "--force"]) == 0
    assert out.read_text().startswith('{"ts":')


def test_a_folder_that_is_not_there_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "kafka:telemetry", str(tmp_path / "no" / "history.jsonl")]) == 2
    assert "The file cannot be written. Expected a folder that exists" in capsys.readouterr().err
