"""The names of `ember_core` itself: there, documented, typed, and loaded only when used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ember_core

ROOT = Path(ember_core.__file__).resolve().parents[1]


@pytest.mark.parametrize("name", ember_core.__all__)
def test_a_name_of_the_front_door_is_there_and_documented(name):
    value = getattr(ember_core, name)
    assert inspect.getdoc(value)
    assert name in dir(ember_core)


def test_the_reference_shows_the_front_door():
    text = (ROOT / "docs" / "reference" / "ember_core.md").read_text(encoding="utf-8")
    assert "::: ember_core\n" in text


def test_type_checkers_see_the_names_that_are_loaded():
    tree = ast.parse(Path(ember_core.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = [
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(typed) == sorted(ember_core.__all__)


def test_an_unknown_name_is_refused_as_python_does():
    with pytest.raises(AttributeError, match="module 'ember_core' has no attribute 'Pipelin'"):
        _ = ember_core.Pipelin
    with pytest.raises(ImportError, match="cannot import name 'Pipelin'"):
        exec("from ember_core import Pipelin")


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [("import ember_core", set()), ("from ember_core import ops", {"ops"})],
)
def test_only_used_packages_are_loaded(statement, loaded):
    code = (
        f"{statement}\nimport sys\n"
        "print(*{m.split('.')[1] for m in sys.modules if m.startswith('ember_core.')})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert set(done.stdout.split()) & set(ember_core.__all__) == loaded
