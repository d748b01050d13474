"""Memory of a step, kept for the next one."""

from __future__ import annotations

import numpy as np

_BYTES = 31 << 20
"""Just below the largest block from which the C library takes its thresholds."""


def keep_freed_memory() -> None:
    """Let the C library keep some freed memory, instead of handing it back after every step.

    A step of thousands of keys uses some megabytes for a moment. glibc hands memory back that is
    more than twice the largest block which it has ever unmapped, and each step would then get its
    pages anew from the system: a third of its time. So one block is mapped and unmapped, untouched.
    Other C libraries have other rules; there it does nothing.
    """
    np.empty(_BYTES, np.uint8)
