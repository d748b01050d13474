"""Names in the code: vague local variables, and words of our own."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checks.files import Function, Hit, Source, parameters
from checks.words import COMMON, PRIVATE, PRIVATE_IN, VAGUE

_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def local_names(source: Source) -> list[Hit]:
    """Return every binding of a local variable.

    Assignments, loops, `with`, `except`, walrus, patterns and comprehensions bind names.
    Parameters do not, even where a function assigns to one again; nor do additions in place, and
    names of a module or a class.
    """
    return list(_bindings(source.tree, source.path, None))


def _bindings(node: ast.AST, path: str, own_parameters: frozenset[str] | None) -> Iterator[Hit]:
    """Bindings inside a node.

    Args:
        node: Part of a module.
        path: Path of the file.
        own_parameters: Parameters of the enclosing function; None outside of any.
    """
    if isinstance(node, ast.ClassDef):
        own_parameters = None
    elif isinstance(node, Function):
        own_parameters = frozenset(p.arg for p in parameters(node))
    elif isinstance(node, ast.Lambda | _Comprehension):
        own_parameters = own_parameters or frozenset()
    name = None
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        name = node.id
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        name = node.name
    if own_parameters is not None and name and name.strip("_") and name not in own_parameters:
        assert isinstance(node, ast.Name | ast.ExceptHandler | ast.MatchAs | ast.MatchStar)
        yield Hit(path, node.lineno, name)
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.AugAssign) and child is node.target:
            continue  # the name has been bound before
        yield from _bindings(child, path, own_parameters)


def vague_names(source: Source) -> list[Hit]:
    """Return the bindings whose name says nothing of the content."""
    return [hit for hit in local_names(source) if hit.text.strip("_") in VAGUE]


def private_names(source: Source) -> list[Hit]:
    """Return definitions named by a private word.

    The module, its classes, functions, methods and parameters count; a parameter named by a word
    of plain English does not. The text of a hit is the private word.
    """
    names = [(1, source.module.rpartition(".")[2])]
    for node in source.definitions:
        if not isinstance(node, ast.Module):
            names.append((node.lineno, node.name))
        if isinstance(node, Function):
            names += [(p.lineno, p.arg) for p in parameters(node) if p.arg not in COMMON]
    return [
        Hit(source.path, line, name.strip("_"))
        for line, name in names
        if _is_private(name.strip("_"), source)
    ]


def _is_private(word: str, source: Source) -> bool:
    return word in PRIVATE and source.module.startswith(PRIVATE_IN.get(word, ""))


def private_words(source: Source) -> set[str]:
    """Return the private words that a reader of the file meets.

    A word of plain English counts where the file defines it or reads it as an attribute, any other
    word wherever it stands as a name.
    """
    words = {hit.text for hit in private_names(source)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute):
            words.add(node.attr.strip("_"))
        elif isinstance(node, ast.Name) and node.id.strip("_") not in COMMON:
            words.add(node.id.strip("_"))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            words.update(alias.name.rpartition(".")[2].strip("_") for alias in node.names)
            module = node.module if isinstance(node, ast.ImportFrom) else None
            words.add((module or "").rpartition(".")[2].strip("_"))
    return {word for word in words if _is_private(word, source)}
