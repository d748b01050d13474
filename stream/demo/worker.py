"""Processes of the demo: worker and incidents, children that never outlive the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Literal

import stream
from stream.errors import UserError

from .link import TOPIC

GROUP = "ember-demo"
Role = Literal["worker", "incidents"]
CHECKPOINT_SECONDS = 0.5  # the demo reads its progress off the committed offsets
_STOP_SECONDS = 1.5


def settings_file(
    folder: Path, bootstrap: str, model: Path, more: dict[str, dict[str, object]] | None = None
) -> Path:
    """Write the worker's settings.

    Args:
        folder: Folder of the file, and working directory of the worker.
        bootstrap: Address of the broker.
        model: Folder of the bundle.
        more: Sections beside those of every demo, or in their place.
    """
    sections: dict[str, dict[str, object]] = {
        "kafka": {"bootstrap_servers": bootstrap, "group": GROUP},
        "input": {"topics": [TOPIC], "time_unit": "us"},
        "model": {"path": str(model)},
        "checkpoint": {"interval_seconds": CHECKPOINT_SECONDS},
        "state": {"directory": str(folder / "state"), "standby_replicas": 0},
        "http": {"port": 0},
        "log": {"level": "warning"},
    }
    sections |= more or {}
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        # A JSON string, number or list of strings is TOML as well.
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path = folder / "ember.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


class DemoWorker:
    """Child process that runs the worker, or `ember incidents`.

    Args:
        config: Settings file; its folder becomes the working directory and holds the log.
        role: What it runs.
    """

    def __init__(self, config: Path, role: Role = "worker") -> None:
        self._role = role
        self._log = config.with_name(f"{role}.log")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("EMBER_")}
        root = str(Path(stream.__file__).parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (root, environment.get("PYTHONPATH")))
        )
        environment.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the demo itself
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", "stream.demo.worker", str(config), role],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=config.parent,
                env=environment,
                start_new_session=True,  # Ctrl-C must reach the demo only, which ends the worker
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise UserError with the last line of the log, if the process has ended."""
        code = self._process.poll()
        if code is None:
            return
        lines = self._log.read_text(errors="replace").strip().splitlines()
        raise UserError(
            f"The demo's {self._role} process ended unexpectedly (exit code {code}): "
            f"{lines[-1] if lines else 'its log is empty'}"
        )

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self._process.kill()
        self.stop()

    def request_stop(self) -> None:
        """Ask the process to end, without waiting."""
        if self._process.poll() is None:
            self._process.terminate()

    def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """End the process, by force after `seconds`. No-op when it has ended."""
        self.request_stop()
        if self._process.poll() is None:
            try:
                self._process.wait(max(seconds, 0.05))
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _end_with_parent() -> None:
    """Stop when the demo, which holds the other end of stdin, is gone."""
    # Not sys.stdin: a thread that holds its lock would crash the interpreter at its exit.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_STOP_SECONDS)
    os._exit(1)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM until the worker has installed its own handler."""
    raise SystemExit(0)


def main() -> None:
    """Run a process: `python -m stream.demo.worker ember.toml worker`."""
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Imports take a second; the thread that watches the parent runs already.
    from stream.app import run
    from stream.bridge import serve_incidents
    from stream.settings import Settings

    config, role = sys.argv[1:]
    try:
        (serve_incidents if role == "incidents" else run)(Settings.load(Path(config)))
    except UserError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
