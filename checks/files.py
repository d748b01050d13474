"""Files that the checks read, each parsed once."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, TypeGuard

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("ember_core", "stream")
CODE: Final = (*PACKAGES, "benchmarks")
TEXTS: Final = ("docs", "README.md", "CONTRIBUTING.md", "SECURITY.md")

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Hit(NamedTuple):
    """One place that a figure counts."""

    path: str
    line: int
    text: str


@dataclass(frozen=True)
class Source:
    """A Python file.

    Attributes:
        path: Path relative to the repository, with slashes.
        text: Content.
    """

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Syntax tree."""
        return ast.parse(self.text, self.path)

    @cached_property
    def lines(self) -> list[str]:
        """Lines without their ends."""
        return self.text.splitlines()

    @cached_property
    def tokens(self) -> list[tokenize.TokenInfo]:
        """Tokens, comments included."""
        return list(tokenize.generate_tokens(io.StringIO(self.text).readline))

    @property
    def module(self) -> str:
        """Dotted name; a package's is that of its folder."""
        parts = self.path.removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def folder(self) -> str:
        """Dotted name of the folder that the file lies in."""
        return ".".join(self.path.split("/")[:-1])

    @cached_property
    def comments(self) -> list[Hit]:
        """Comments with a reason in them: neither a tool's mark nor a rule of dashes."""
        comments = [token for token in self.tokens if token.type == tokenize.COMMENT]
        marks = ("# noqa", "# type:", "# pragma", "# fmt:", "#!", "# --")
        return [
            Hit(self.path, token.start[0], token.string)
            for token in comments
            if not token.string.startswith(marks)
        ]

    @cached_property
    def code_lines(self) -> set[int]:
        """Lines that hold code: no blank line, no line of a comment or docstring alone."""
        skipped = {
            tokenize.COMMENT,
            tokenize.NL,
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
            tokenize.ENDMARKER,
        }
        lines: set[int] = set()
        for token in self.tokens:
            if token.type not in skipped:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            if is_text(node):
                lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
        return lines

    @cached_property
    def definitions(self) -> list[Definition]:
        """Everything that can have a docstring, the module first."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Definition)]

    @cached_property
    def functions(self) -> list[Function]:
        """Functions and methods, also nested ones."""
        return [node for node in self.definitions if isinstance(node, Function)]


def is_text(node: ast.AST) -> TypeGuard[ast.Expr]:
    """Return whether a statement is a string alone: a docstring, or one of an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def parameters(function: Function | ast.Lambda) -> list[ast.arg]:
    """Return all parameters of a function, `self` and `cls` included."""
    arguments = function.args
    by_name = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    starred = [arg for arg in (arguments.vararg, arguments.kwarg) if arg is not None]
    return by_name + starred


def sources(places: Sequence[str | Path] = CODE) -> list[Source]:
    """Read the Python files of some files and folders."""
    return [Source(name, path.read_text("utf-8")) for name, path in _files(places, ".py")]


def texts(places: Sequence[str | Path] = TEXTS) -> dict[str, str]:
    """Read the Markdown files of some files and folders, by path."""
    return {name: path.read_text("utf-8") for name, path in _files(places, ".md")}


def _files(places: Iterable[str | Path], suffix: str) -> Iterator[tuple[str, Path]]:
    """Files of the places with their names: relative to the repository, or else as they are."""
    for name in places:
        path = ROOT / name if (ROOT / name).exists() else Path(name).resolve()
        if not path.exists():
            raise ValueError(
                "There is no such file or folder. Expected a path of the repository. "
                f"Received: {str(name)!r}."
            )
        files = sorted(path.rglob(f"*{suffix}")) if path.is_dir() else [path]
        for file in files:
            if file.suffix == suffix and "__pycache__" not in file.parts:
                in_repository = file.is_relative_to(ROOT)
                yield (file.relative_to(ROOT) if in_repository else file).as_posix(), file
