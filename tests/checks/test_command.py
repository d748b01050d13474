"""Table, limits and exit codes of `python -m checks`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from checks import figures
from checks.command import main
from checks.figures import Aim, Figure, broken_limits, figures_of, percentile, read_before, table
from checks.files import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.py").write_text("def f():\n    own = 1\n    return own\n")
    return tmp_path


def test_percentile_is_the_nearest_rank():
    assert percentile([], 0.9) == 0
    assert percentile([7], 0.9) == 7
    assert percentile(range(1, 11), 0.5) == 5
    assert percentile(range(1, 12), 0.9) == 10


def test_a_table_has_aligned_columns():
    assert table([["a", "bb"], ["ccc", "d"]]) == ["a    bb", "ccc   d"]


def test_every_figure_has_a_former_value():
    for group, aims in (("language", figures.LANGUAGE), ("structure", figures.STRUCTURE)):
        assert read_before()[group].keys() == aims.keys()
        joined = figures_of(aims, dict.fromkeys(aims, 1.0), group)
        assert all(figure.before is not None for figure in joined.values())


def test_an_aim_may_be_a_range():
    aim = Aim("comments", 40, least=25)
    assert [aim.reached_by(value) for value in (24.9, 25, 40, 40.1)] == [False, True, True, False]
    assert str(aim) == "25 to 40"
    assert Figure(aim, 30, 13.4).row() == ["comments", "", "13.4", "30", "25 to 40"]


def test_only_an_enforced_figure_breaks_a_limit():
    aim = Aim("names", 10)
    assert broken_limits({"names": Figure(aim, 11)}) == ""
    assert broken_limits({"names": Figure(replace(aim, enforced=True), 10)}) == ""
    sentence = broken_limits({"names": Figure(replace(aim, enforced=True), 11)})
    assert sentence == "A limit of the checks is broken (names: expected at most 10, received 11)."


def test_a_broken_limit_fails_the_command(folder, monkeypatch, capsys):
    """A limit holds for all files, not for those that are looked at one by one."""
    strict = replace(figures.STRUCTURE["file_median"], most=1, enforced=True)
    monkeypatch.setitem(figures.STRUCTURE, "file_median", strict)
    assert main(["structure", "--worst", "0"]) == 1
    captured = capsys.readouterr()
    assert "lines of a file, median" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert main(["language", str(folder)]) == 0


def test_json_is_one_object(folder, capsys):
    assert main(["language", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["figures"]["vague_names"]["now"] == 1000
    assert report["figures"]["vague_names"]["reached"] is False


def test_wrong_use_is_told_apart(capsys):
    assert main(["language", "no/such/folder"]) == 2
    assert "Received: 'no/such/folder'" in capsys.readouterr().err


def test_the_glossary_is_sorted_and_names_folders_that_exist():
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| `(.+?)` \|$", page, re.MULTILINE)
    terms = [term for term, _, _ in rows]
    assert len(terms) > 90
    assert terms == sorted(terms, key=str.lower)
    assert all((ROOT / folder).is_dir() for _, _, folder in rows)
    assert all(re.fullmatch(r"[^\w]*[A-Z0-9`].*\.", meaning) for _, meaning, _ in rows)
