"""Small changes to a module's statements and conditions, one at a time."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

_SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_TOLD = re.compile(
    r"(?:self\._|self\.|edge\.)?(?:observer\.\w+|log\.(?:info|warning|error)|_say)\("
)
"""What is told to people is no part of the protocol."""
_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Return, ast.Continue, ast.Break)
_FIXED = (ast.Return, ast.Raise, ast.FunctionDef, ast.AsyncFunctionDef, ast.Continue, ast.Break)
_OPPOSITE = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
"""Compared in another way they are negated."""


class Mutant(NamedTuple):
    """One change: its name, which outlives moved lines, and the module's source with it."""

    name: str
    source: str


def mutants(path: Path) -> list[Mutant]:
    """All changes to the functions of a module."""
    text = path.read_text()
    found, seen = [], Counter[str]()
    for index in range(sum(1 for _ in _changes(ast.parse(text)))):
        tree = ast.parse(text)
        where, before, apply = next(c for i, c in enumerate(_changes(tree)) if i == index)
        after = apply()
        name = f"{path.name}:{where}: `{before}` -> `{after}`"
        seen[name] += 1
        found.append(
            Mutant(name if seen[name] == 1 else f"{name} ({seen[name]})", ast.unparse(tree))
        )
    return found


_Change = tuple[str, str, Callable[[], str]]
"""Where, what is there, and a function that changes it and says to what."""


def _changes(tree: ast.Module) -> Iterator[_Change]:
    for node in tree.body:
        yield from _within(node, "")


def _within(node: ast.AST, where: str) -> Iterator[_Change]:
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            yield from _within(child, f"{node.name}.")
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__init__":
        yield from _body(node.body, f"{where}{node.name}")


def _body(body: list[ast.stmt], where: str) -> Iterator[_Change]:
    for at, statement in enumerate(body):
        if _untouched(statement):
            continue
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _body(statement.body, f"{where}.{statement.name}")
            continue
        if isinstance(statement, _SIMPLE):
            yield where, _short(statement), lambda at=at: _put(body, at, ast.Pass())
        if at + 1 < len(body) and not _untouched(body[at + 1]):
            pair = statement, body[at + 1]
            if all(_calls(each) for each in pair):
                before = f"{_short(pair[0])}; {_short(pair[1])}"
                yield where, before, lambda at=at: _swap(body, at)
        for field in ("body", "orelse", "finalbody"):
            yield from _body(getattr(statement, field, []), where)
        for handler in getattr(statement, "handlers", []):
            yield from _body(handler.body, where)
        yield from _expressions(statement, where)


def _calls(statement: ast.stmt) -> bool:
    """Whether its place may matter."""
    return not isinstance(statement, _FIXED) and any(
        isinstance(node, ast.Call) for node in ast.walk(statement)
    )


def _untouched(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert | ast.Import | ast.ImportFrom | ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        text = ast.unparse(statement)
        return isinstance(statement.value, ast.Constant) or bool(_TOLD.match(text))
    return False


def _expressions(statement: ast.stmt, where: str) -> Iterator[_Change]:
    if isinstance(statement, ast.If | ast.While) and not _opposite(statement.test):
        yield where, _short(statement.test), lambda: _negate(statement)
    if isinstance(statement, ast.Raise):
        return
    for node in _nodes(statement):
        if isinstance(node, ast.IfExp) and not _opposite(node.test):
            yield where, _short(node.test), lambda node=node: _negate(node)
        elif isinstance(node, ast.comprehension):
            for n in range(len(node.ifs)):
                if not _opposite(node.ifs[n]):
                    yield where, _short(node.ifs[n]), lambda node=node, n=n: _negate_if(node, n)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield where, _short(node), lambda node=node: _compare(node)
        elif isinstance(node, ast.BoolOp):
            yield where, _short(node), lambda node=node: _bool(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            yield where, _short(node), lambda node=node: _add(node)
        elif isinstance(node, ast.Call) and _named(node, "min", "max"):
            yield where, _short(node), lambda node=node: _extreme(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int):
            yield where, _short(statement), lambda node=node: _constant(node, statement)


def _opposite(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], _OPPOSITE)
    )


def _nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Expressions of a statement, without the statements in it and without texts."""
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        for name, value in ast.iter_fields(node):
            if name == "annotation":
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.keyword) and child.arg == "strict":
                    continue  # of zip: an assertion
                if isinstance(child, ast.JoinedStr):
                    continue  # a text
                if isinstance(child, ast.expr | ast.comprehension | ast.keyword | ast.withitem):
                    yield child
                    stack.append(child)


def _named(call: ast.Call, *names: str) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in names


def _put(body: list[ast.stmt], at: int, statement: ast.stmt) -> str:
    body[at] = statement
    return ast.unparse(statement)


def _swap(body: list[ast.stmt], at: int) -> str:
    body[at], body[at + 1] = body[at + 1], body[at]
    return "swapped"


def _negate(node: ast.If | ast.While | ast.IfExp) -> str:
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return _short(node.test)


def _negate_if(node: ast.comprehension, n: int) -> str:
    node.ifs[n] = ast.UnaryOp(ast.Not(), node.ifs[n])
    return _short(node.ifs[n])


def _compare(node: ast.Compare) -> str:
    node.ops = [_SWAPPED[type(node.ops[0])]()]
    return _short(node)


def _bool(node: ast.BoolOp) -> str:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return _short(node)


def _add(node: ast.BinOp) -> str:
    node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    return _short(node)


def _extreme(node: ast.Call) -> str:
    assert isinstance(node.func, ast.Name)
    node.func.id = "max" if node.func.id == "min" else "min"
    return _short(node)


def _constant(node: ast.Constant, statement: ast.stmt) -> str:
    value = node.value
    node.value = not value if isinstance(value, bool) else int(str(value)) + 1
    return _short(statement)


def _short(node: ast.AST) -> str:
    first = ast.unparse(node).splitlines()[0]
    return first if len(first) <= 110 else first[:107] + "..."
