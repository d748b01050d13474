"""Imports between the modules of the code: circles, and private files used from outside."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from checks.files import Function, Hit, Source


class Import(NamedTuple):
    """One imported name.

    Attributes:
        line: Line of the statement.
        module: Module that the name is taken from, in full.
        name: Imported name; empty for `import module`.
        deferred: True inside a function.
        for_types: True under `if TYPE_CHECKING:`.
    """

    line: int
    module: str
    name: str
    deferred: bool
    for_types: bool


@cache
def imports(source: Source) -> tuple[Import, ...]:
    """Return all imports of a file, in order."""
    return tuple(_imports(source.tree, source, deferred=False, for_types=False))


def _imports(node: ast.AST, source: Source, *, deferred: bool, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(node.lineno, alias.name, "", deferred, for_types)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:
            parents = source.folder.split(".")
            base = parents[: len(parents) - node.level + 1]
            module = ".".join([*base, *filter(None, [module])])
        for alias in node.names:
            yield Import(node.lineno, module, alias.name, deferred, for_types)
    deferred = deferred or isinstance(node, Function)
    types_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            continue  # no import inside: half of the tree need not be visited
        guarded = types_only and isinstance(node, ast.If) and child in node.body
        yield from _imports(child, source, deferred=deferred, for_types=for_types or guarded)


def graph(code: Sequence[Source], *, with_types: bool = False) -> dict[str, set[str]]:
    """Return the modules that each module imports when it is loaded.

    Args:
        code: All files of the graph.
        with_types: True adds imports under `if TYPE_CHECKING:`.
    """
    modules = {source.module for source in code}
    edges: dict[str, set[str]] = {}
    for source in code:
        targets = {
            target
            for statement in imports(source)
            if not statement.deferred and (with_types or not statement.for_types)
            for target in [target_of(statement, modules)]
            if target is not None and target != source.module
        }
        edges[source.module] = targets
    return edges


def target_of(imported: Import, modules: Iterable[str]) -> str | None:
    """Find the module that an import reads: a submodule by its name, else the one it names."""
    longer = f"{imported.module}.{imported.name}"
    return next((name for name in (longer, imported.module) if name in modules), None)


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of two or more modules, largest first.

    Args:
        edges: Imported modules by module.
    """
    reachable = {module: _reachable(module, edges) for module in edges}
    components = {
        tuple(sorted(name for name in reachable[module] if module in reachable.get(name, ())))
        for module in edges
        if module in reachable[module]
    }
    return sorted(map(list, components), key=lambda circle: (-len(circle), circle))


def _reachable(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    """Modules that `start` reaches by one import or more."""
    visited: set[str] = set()
    pending = list(edges[start])
    while pending:
        module = pending.pop()
        if module not in visited:
            visited.add(module)
            pending += edges.get(module, ())
    return visited


def private_imports(code: Sequence[Source]) -> list[Hit]:
    """Return statements that import a private file or name from another folder.

    A private file belongs to the folder it lies in, a private name to the folder of its module.

    Args:
        code: All files; imports of anything else are left out.
    """
    folders = {source.module: source.folder for source in code}
    names: dict[tuple[str, int, str], list[str]] = {}
    for source in code:
        for imported in imports(source):
            target = target_of(imported, folders)
            if target is None:
                continue
            if _owner(target, imported, folders[target]) not in ("", source.folder):
                statement = (source.path, imported.line, imported.module)
                names.setdefault(statement, []).append(imported.name)
    return [
        Hit(path, line, f"{module} {', '.join(private)}".strip())
        for (path, line, module), private in names.items()
    ]


def _owner(target: str, imported: Import, folder: str) -> str:
    """Folder that alone may import this; empty where everybody may."""
    parts = target.split(".")
    for index, part in enumerate(parts):
        if _private(part):
            return ".".join(parts[:index])
    return folder if _private(imported.name) and not imported.name.startswith("__") else ""


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
