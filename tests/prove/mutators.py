"""Valid things made invalid at random places: trees of JSON values, and bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

_NUMBERS: Final = (
    0,
    -1,
    1,
    2**31,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    2**64,
    10**30,
    10**400,
    0.5,
    -0.0,
    5e-324,
    1e-9,
    1e151,
    1.7976931348623157e308,
    1_700_000_000,
    1_700_000_000_123,
)
_TEXTS: Final = (
    "",
    "0",
    "1e5",
    "NaN",
    "-inf",
    "2024-02-30T00:00:00Z",
    "2024-02-29T23:59:60.5+14:00",
    "\x00",
    "\ud83d\ude00",
    "é" * 9,
    "a" * 2_000,
    "$.values",
    "${HOME}",
    "../../etc",
    "cpu",
    "ts",
    "host",
)


def leaf(rng: Random) -> Any:
    """A value of any kind that JSON has."""
    kind = int(rng.random() * 8)
    if kind < 3:
        return rng.choice(_NUMBERS)
    if kind < 5:
        return rng.choice(_TEXTS)
    if kind == 5:
        return rng.choice((None, True, False))
    if kind == 6:
        return rng.choice(([], {}, [[]], [{}], {"": None}, [1, "2", None]))
    return nested(int(rng.random() ** 4 * 600))


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def mutated(tree: Any, rng: Random, new: Callable[[Random], Any] = leaf) -> Any:
    """A copy of a tree with one to three changes: another value, a lost, renamed or new member."""
    tree = copied(tree)
    for _ in range(1 + int(rng.random() * 3)):
        tree = _changed(tree, rng, new)
    return tree


def _changed(tree: Any, rng: Random, new: Callable[[Random], Any]) -> Any:
    parent, at, node = None, None, tree
    while isinstance(node, dict | list) and node and (parent is None or rng.random() < 0.75):
        parent = node
        at = rng.choice(list(node)) if isinstance(node, dict) else int(rng.random() * len(node))
        node = node[at]
    if parent is None:
        return new(rng)
    how = rng.random()
    if how < 0.6:
        parent[at] = new(rng)
    elif how < 0.75:
        del parent[at]
    elif how < 0.85 and isinstance(parent, dict):
        parent[rng.choice(_TEXTS)] = parent.pop(at)
    elif isinstance(parent, dict):
        parent[f"{at}x"] = new(rng)
    else:
        parent.append(parent[at])
    return tree


def copied(tree: Any) -> Any:
    """Deep copy of dicts and lists."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [copied(value) for value in tree]
    return tree


def as_json(tree: Any) -> bytes:
    """JSON as others may write it: also NaN, large integers, surrogates."""
    try:
        return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError):
        return b"[" * 2_000 + b"]" * 2_000


def bitten(whole: bytes, rng: Random) -> bytes:
    """Bytes with a piece lost, changed, repeated, or the end cut off."""
    out = bytearray(whole)
    for _ in range(1 + int(rng.random() * 3)):
        at = int(rng.random() * (len(out) + 1))
        how = rng.random()
        if how < 0.35 and at < len(out):
            out[at] ^= 1 << int(rng.random() * 8)
        elif how < 0.5:
            out[at : at + 1 + int(rng.random() * 4)] = b""
        elif how < 0.7:
            out[at:at] = rng.randbytes(1 + int(rng.random() * 4))
        elif how < 0.85:
            out[at:at] = out[at : at + int(rng.random() * 40)]
        elif how < 0.95:
            del out[at:]
        else:
            out[at : at + 8] = b"\xff" * 8
    return bytes(out)
