"""The distribution's name stands in one place of the code, and is that of `pyproject.toml`."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from ember_core.distribution import NAME, install_command, installed_version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def sources() -> dict[str, str]:
    paths = [path for folder in ("ember_core", "stream") for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def test_the_name_is_that_of_pyproject() -> None:
    assert PROJECT["name"] == NAME


def test_commands_that_install_take_the_name_from_one_place() -> None:
    written = [name for name, text in sources().items() if re.search(r'pip install "[^"]*\[', text)]
    assert written == ["ember_core/distribution.py"]


def test_extras_that_messages_name_are_declared() -> None:
    named = re.findall(r"install_command\(['\"](\w+)['\"]\)", "\n".join(sources().values()))
    assert named
    assert set(named) <= PROJECT["optional-dependencies"].keys()
    assert install_command("avro") == f'pip install "{NAME}[avro]"'


def test_a_checkout_that_was_never_installed_has_no_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert installed_version() is None
