"""The migration guide names what is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "migration.md"


def rows() -> list[tuple[str, str, str]]:
    found = []
    for line in GUIDE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 3 and cells[0] not in ("older", "---"):
            found.append((cells[0], cells[1], cells[2]))
    return found


NEW = sorted({name for _, now, _ in rows() for name in re.findall(r"`([^`]+)`", now)})


@pytest.mark.parametrize("name", NEW)
def test_new_name_exists(name: str) -> None:
    parts = name.split(".")
    where = importlib.import_module(f"ember_core.{parts[0]}")
    for part in parts[1:]:
        where = (
            getattr(where, part)
            if hasattr(where, part)
            else importlib.import_module(f"{where.__name__}.{part}")
        )
    assert callable(where)


def test_what_has_no_new_name_says_why() -> None:
    assert len(rows()) > 80
    for older, now, note in rows():
        assert now or note, f"{older} is gone without a word"
        assert older
