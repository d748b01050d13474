"""A worker on a disk that is full, or cannot be written to: the embedded broker, the real disk."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kafka_client import Send
from tests.broker.conftest import Broker
from tests.broker.small_service import SmallService, body
from tests.e2e.service import Service, wait_until

pytestmark = pytest.mark.broker

KEYS, ROWS = 197, 3


def sends() -> list[Send]:
    """Records of all keys, some rows each."""
    return [Send(b"key-%03d" % key, body(row)) for row in range(ROWS) for key in range(KEYS)]


def configure(service: SmallService, state: str) -> None:
    text = service.config.read_text()
    service.config.write_text(text[: text.index("[state]")] + f"[state]\n{state}\n")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that holds 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_without_a_folder_to_write_to_it_goes_on_without_copies_and_says_so_once(
    embedded: Broker, tmp_path: Path
) -> None:
    service = SmallService(embedded, tmp_path, 1)
    (tmp_path / "file").touch()
    configure(
        service,
        "standby_replicas = 0\nsnapshot_interval_seconds = 0.2\ndirectory = 'file/state'",
    )
    first, second = sends()[:KEYS], sends()[KEYS:]
    embedded.produce(service.topic, first)
    with Service(tmp_path, service.config, embedded=True) as process:
        wait_until("a copy", lambda: "cannot be copied to" in process.log.read_text(), process)
        embedded.produce(service.topic, second)
        wait_until("all", lambda: sum(service.counts().values()) == KEYS * ROWS, process)
        assert process.stop() == 0  # another copy would be made here
    said = [line for line in process.log.read_text().splitlines() if "copied" in line]
    assert len(said) == 1
    assert "Not a directory" in said[0]
    assert "state.directory" in said[0]
    assert len(service.rows()) == KEYS


@pytest.mark.slow
def test_a_full_disk_ends_the_worker_with_one_sentence_and_loses_nothing(
    embedded: Broker, tmp_path: Path, small_disk: Path
) -> None:
    """Once there is room, or memory, the state is that of a worker that always had it."""
    names = Broker(embedded.bootstrap, embedded.embedded)  # of other topics
    always = SmallService(names, tmp_path / "always", 2)
    always.run(sends())
    service = SmallService(embedded, tmp_path / "full", 2)
    state = "standby_replicas = 0\nsnapshot_interval_seconds = 0\nmax_keys = 13\ndirectory = "
    configure(service, f"{state}'{small_disk}'")
    embedded.produce(service.topic, sends())
    for _ in range(2):  # the second one fills the disk as it recovers
        with Service(service.folder, service.config, embedded=True) as process:
            assert process.process is not None
            assert process.process.wait(120) == 1
    lines = process.log.read_text().splitlines()
    said = [line["event"] for line in map(json.loads, lines) if line["level"] == "critical"]
    assert len(said) == 2
    for sentence in said:
        assert sentence.startswith("Rows of keys beyond state.max_keys cannot be put on the disk")
        assert "disk is full. Expected a state.directory" in sentence
        assert f"Received: {small_disk}" in sentence
    assert not any("Traceback" in line for line in lines)
    configure(service, f"{state}'elsewhere'")
    service.run([], len(sends()) - sum(service.counts().values()))
    assert service.counts() == always.counts()
    assert service.rows() == always.rows()
