"""Files are replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from ember_core.files import write_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "model.json"
    write_atomically(path, b"old")

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_was_written(tmp_path):
    path = tmp_path / "model.json"
    write_atomically(path, b"text")
    assert path.stat().st_mode & 0o777 == 0o644
