"""Limit of JSON's nesting, checked without parsing."""

from __future__ import annotations

import re

import numpy as np

MAX_DEPTH = 250
"""Levels of nesting accepted.

The bound is fixed and well below the interpreter's recursion limit. That limit depends on the
caller's stack; the outcome of a message must not.
"""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


def too_deep(value: bytes) -> bool:
    """Tell if brackets outside of strings are nested more than `MAX_DEPTH` levels."""
    # Cheap bounds first: almost no message has enough brackets to need a closer look.
    if len(value) <= 2 * MAX_DEPTH or value.count(b"{") + value.count(b"[") <= MAX_DEPTH:
        return False
    bare = np.frombuffer(_STRING.sub(b"", value), dtype=np.uint8)
    opened = (bare == ord("{")) | (bare == ord("["))
    closed = (bare == ord("}")) | (bare == ord("]"))
    depth = np.cumsum(opened.astype(np.int32) - closed.astype(np.int32))
    return bool(depth.size) and int(depth.max()) > MAX_DEPTH
