"""Places that a command writes to: refused in a sentence before the work, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.cli.destinations import require_file, require_folder
from stream.errors import UserError


@pytest.mark.parametrize(
    ("path", "expected"),
    [("none/page.html", "a folder that exists"), ("folder", "and this is a folder")],
)
def test_file_that_cannot_be_written(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=expected) as caught:
        require_file("--report", tmp_path / path)
    assert f"Received: --report {tmp_path / path}" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("path", ["file", "file/model"])
def test_folder_that_cannot_be_made(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"and .*file is a file\. Received: --out"):
        require_folder("--out", tmp_path / path)


def test_rights_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `os.access`: the user who runs the tests may be one who may write everywhere."""
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="a file that this user may write"):
        require_file("--out", tmp_path / "ember.toml")
    with pytest.raises(UserError, match="a folder that this user may write"):
        require_folder("--out", tmp_path / "a" / "model")


def test_places_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    require_file("--report", None)
    require_file("--report", Path("page.html"))
    require_folder("--out", Path("model"))
    require_folder("--out", tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
