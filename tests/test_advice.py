"""Settings and commands that documents, errors and `ember doctor` name exist."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from cyclopts import App
from pydantic import BaseModel

from stream.cli import build
from stream.settings import Settings
from tests.test_repository import PAGES, ROOT

FIELDS = {
    section: set(cast("type[BaseModel]", field.annotation).model_fields)
    for section, field in Settings.model_fields.items()
}
SETTING = re.compile(rf"(?<![\w./<*-])({'|'.join(FIELDS)})\.([a-z][a-z_]*)\b(?![\w(/:-]|\.[a-z])")
FILES = {"json", "toml", "safetensors", "py", "md", "sig"}
"""Endings of files, whose names look like settings: model.json."""
COMMAND = re.compile(r"`(ember [a-z][^`]*)`")
OF_OTHERS = {"docs/adr", "docs/reference", "docs/migration.md", "docs/deploying.md"}
"""Decisions of their time, names of modules, another program's settings, values of the chart."""


def messages(path: Path) -> Iterator[str]:
    """Texts of a module that are shown to people: no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


MODULES = sorted((ROOT / "stream").rglob("*.py"))
DOCUMENTS = [
    page
    for page in PAGES
    if not any((ROOT / other) in (page, *page.parents) for other in OF_OTHERS)
]


def unknown_settings(text: str) -> list[str]:
    return [
        f"{section}.{name}"
        for section, name in SETTING.findall(text)
        if name not in FIELDS[section] and name not in FILES
    ]


def unknown_command(app: App, text: str) -> bool:
    """Tell if a command or one of its options is not there; its values are not looked at."""
    words = shlex.split(text.replace("...", ""))[1:]
    chain = []
    for word in words:
        if word.startswith("-") or word not in app:
            break
        chain.append(word)
        app = app[word]
    if app.default_command is None:  # a group of commands
        return len(words) > len(chain)
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    known = {name for argument in app.assemble_argument_collection() for name in argument.names}
    return not set(flags) <= known | {"--help", "--version"}


def test_settings_that_are_named_exist() -> None:
    texts = {module: list(messages(module)) for module in MODULES}
    texts |= {p: re.findall(r"`([^`\n]+)`", p.read_text(encoding="utf-8")) for p in DOCUMENTS}
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, lines in texts.items()
        for line in lines
        for name in unknown_settings(line)
    ]
    assert not wrong


def test_commands_within_sentences_exist() -> None:
    texts = {page: page.read_text(encoding="utf-8") for page in DOCUMENTS}
    texts |= {module: "\n".join(messages(module)) for module in MODULES}
    app = build()
    wrong = [
        f"{path.relative_to(ROOT)}: {command}"
        for path, text in texts.items()
        for command in COMMAND.findall(text)
        if "<" not in command and "|" not in command and unknown_command(app, command)
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("ember trian data.csv", True),
        ("ember train data.csv --oot model", True),
        ("ember dead-letters lst", True),
        ("ember dead-letters list --json", False),
        ("ember train DATA... --out DIR", False),
        ("ember state", False),
    ],
)
def test_the_checks_tell_right_from_wrong(text: str, *, wrong: bool) -> None:
    assert unknown_command(build(), text) is wrong
    settings = "set input.keyx, window.interval_seconds = 3, model.json, kafka.auto.offset.reset"
    assert unknown_settings(settings) == ["input.keyx"]
