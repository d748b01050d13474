"""Process that trains: reports by lines, and an end with its worker, whoever ends first."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream.learn import process
from stream.learn.process import Job, run_process
from stream.learn.report import Outcome, Progress, decode, encode
from stream.settings import Settings
from tests.e2e.service import ROOT


def job(folder: Path) -> Job:
    return Job(Settings(kafka={"group": "g", "sasl_password": "hunter2"}), 7, True, folder)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PROGRAM", "tests.stream.learn.fake_trainer")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("message", [Progress("reading", "x", 0.5), Outcome("waiting", "y", 3.0)])
def test_a_message_is_a_line(message: Progress | Outcome) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message
    assert decode(b"Fatal: something else\n") is None


def test_a_task_keeps_its_settings_and_is_one_line(tmp_path: Path) -> None:
    task = job(tmp_path)
    line = task.encode()
    assert line.count(b"\n") == 1
    assert Job.decode(line) == task
    assert Job.decode(line).settings.kafka.sasl_password.get_secret_value() == "hunter2"


@pytest.mark.usefixtures("fake")
async def test_progress_and_end_are_reported(tmp_path: Path) -> None:
    progress: list[Progress] = []
    outcome = await run_process(job(tmp_path / "ends"), progress.append)
    assert progress == [Progress("training", "liquid", 0.25)]
    assert outcome == Outcome("published", "after 7")


@pytest.mark.usefixtures("fake")
async def test_a_process_that_is_killed_has_failed(tmp_path: Path) -> None:
    outcome = await run_process(job(tmp_path / "dies"), lambda _: None)
    assert outcome.result == "failed"
    assert "exit code -9" in outcome.detail


@pytest.mark.usefixtures("fake")
async def test_it_is_killed_when_the_seat_is_lost(tmp_path: Path) -> None:
    trains = asyncio.Event()
    running = asyncio.create_task(run_process(job(tmp_path / "hangs"), lambda _: trains.set()))
    note = tmp_path / "hangs.pid"
    await trains.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert is_gone(int(note.read_text()))


def test_it_ends_when_its_worker_does(tmp_path: Path) -> None:
    """The pipe's end is all that a killed worker leaves."""
    task = Job(Settings(kafka={"bootstrap_servers": "127.0.0.1:1"}), -1, True, tmp_path)
    command = [sys.executable, "-m", process.PROGRAM]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as trainer:
        assert trainer.stdin is not None
        trainer.stdin.write(task.encode())
        trainer.stdin.close()
        assert trainer.wait(30) == 1
