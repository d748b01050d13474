"""Calls between the consumer's fetch and the liquid cell.

`WAY` is written by hand: edit it after a move. The check fails where a function is not there, or
no longer mentions the next one.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Final

from checks.files import Function, Source
from checks.imports import imports, target_of

WAY: Final = (
    "stream.kafka.faust.transport.Consumer._drain_once",
    "stream.kafka.runtime.fetch_loop.FetchLoop.take",
    "stream.kafka.runtime.processor.Processor.process",
    "stream.kafka.runtime.processor.Processor._step",
    "stream.engine.engine.Engine.step_all",
    "stream.engine.step.Stepper.step",
    "stream.engine.step.Stepper._observe",
    "ember_core.pipeline.pipeline.Pipeline.observe",
    "ember_core.pipeline.liquid.LiquidNetwork.forward",
    "ember_core.pipeline.kernels.liquid.PackedLiquid.states",
    "ember_core.pipeline.kernels.liquid.PackedLiquid._loop",
)
"""Functions from the fetch to the cell's arithmetic, each called by the one before it."""


def files_of(way: Sequence[str], code: Sequence[Source]) -> list[Source]:
    """Return the files of the calls in order, each once.

    Args:
        way: Qualified names of the functions, in the order of the calls.
        code: All files.

    Raises:
        ValueError: If a function does not exist, or does not mention the next one.
    """
    modules = {source.module: source for source in code}
    files: dict[str, Source] = {}
    caller = None
    for name in way:
        source, function = _find(name, modules)
        if caller is not None and not _mentions(caller, function.name):
            raise ValueError(
                f"The way in checks/way.py is out of date: {caller.name} does not call the next "
                f"function. Expected a call of {name}. Bring the list up to date."
            )
        files[source.path], caller = source, function
    return list(files.values())


def around(files: Sequence[Source], code: Sequence[Source]) -> list[Source]:
    """Add the files that some files import, by one import.

    Args:
        files: Files to begin with.
        code: All files.
    """
    modules = {source.module: source for source in code}
    names = {source.module for source in files}
    for source in files:
        names |= {target_of(item, modules) or source.module for item in imports(source)}
    return [modules[name] for name in sorted(names)]


def _find(name: str, modules: Mapping[str, Source]) -> tuple[Source, Function]:
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        source = modules.get(".".join(parts[:split]))
        node: ast.AST | None = source.tree if source is not None else None
        for part in parts[split:]:
            node = _member(node, part)
        if source is not None and isinstance(node, Function):
            return source, node
    raise ValueError(
        "The way in checks/way.py is out of date. Expected the name of a function. "
        f"Received: {name!r}. Bring the list up to date."
    )


def _member(node: ast.AST | None, name: str) -> ast.AST | None:
    """Class or function of that name in a module or class."""
    body = node.body if isinstance(node, ast.Module | ast.ClassDef) else []
    members = (item for item in body if isinstance(item, (Function, ast.ClassDef)))
    return next((member for member in members if member.name == name), None)


def _mentions(caller: Function, name: str) -> bool:
    """Return whether the body of a function reads a name; an object's `__call__` has none."""
    read = {node.attr for node in ast.walk(caller) if isinstance(node, ast.Attribute)}
    read |= {node.id for node in ast.walk(caller) if isinstance(node, ast.Name)}
    return name == "__call__" or name in read
