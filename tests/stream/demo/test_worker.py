"""The demo's worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib

import psutil
import pytest

from stream.demo import worker as worker_module
from stream.demo.worker import DemoWorker, settings_file
from stream.errors import UserError
from stream.settings import Settings


@pytest.fixture
def config(tmp_path):
    """A settings file."""
    return settings_file(tmp_path, "127.0.0.1:9", tmp_path / "model")


def test_the_settings_are_valid(config, tmp_path):
    """The settings load, and hold the values that the demo needs."""
    settings = Settings.load(config)
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9"
    assert settings.input.time_unit == "us"
    assert settings.model.path == tmp_path / "model"
    assert tomllib.loads(config.read_text())["http"]["port"] == 0


def play(monkeypatch, code: str) -> None:
    """Let the child run `code` in place of the worker."""
    real = subprocess.Popen

    def popen(_command, **kwargs):
        return real([sys.executable, "-c", code], **kwargs)

    monkeypatch.setattr(worker_module.subprocess, "Popen", popen)


def test_a_worker_that_ends_is_reported_with_its_last_words(monkeypatch, config):
    """The error holds the exit code and the last line of the log."""
    play(monkeypatch, "import sys; print('first'); sys.exit('no model there')")
    worker = DemoWorker(config)
    worker._process.wait(30)
    with pytest.raises(UserError, match=r"exit code 1\): no model there"):
        worker.check()
    worker.stop()


def test_it_is_ended_by_force_when_it_does_not_listen(monkeypatch, config):
    """No process remains, however it handles SIGTERM."""
    play(
        monkeypatch,
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True);"
        "time.sleep(60)",
    )
    worker = DemoWorker(config)
    while "on" not in (config.parent / "worker.log").read_text():
        worker.check()
    worker.check()
    worker.stop(0.1)
    assert not psutil.pid_exists(worker.pid)
    worker.stop()


def test_it_does_not_outlive_the_demo(monkeypatch, config):
    """The worker ends when the other end of stdin is closed."""
    play(
        monkeypatch,
        "import threading, time; from stream.demo import worker;"
        "threading.Thread(target=worker._end_with_parent, daemon=True).start(); time.sleep(60)",
    )
    worker = DemoWorker(config)
    assert worker._process.stdin is not None
    worker._process.stdin.close()
    assert worker._process.wait(30) in (-signal.SIGTERM, 1)
    worker.stop()


def test_the_environment_of_the_demo_does_not_reach_it(monkeypatch, config):
    """Settings of another service in the environment have no effect."""
    monkeypatch.setenv("EMBER_KAFKA__GROUP", "production")
    play(monkeypatch, "import os; print(sorted(k for k in os.environ if 'EMBER' in k)); print(1)")
    worker = DemoWorker(config)
    worker._process.wait(30)
    assert (config.parent / "worker.log").read_text().startswith("[]")
    worker.stop()
    assert "EMBER_KAFKA__GROUP" in os.environ
