"""Reasons for which an alert ends although nothing in its data has ended it.

A leaf, for the engine and for the commands that write beside a stopped worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SUMMARIES: Final[Mapping[str, str]] = {
    "model": "begins anew under another model",
    "channels": "begins anew under a model with other channels",
    "settings": "is not watched for this any more",
    "ttl": "was forgotten after state.ttl_seconds without a record",
    "evicted": "was forgotten: state.max_disk_bytes is full",
    "reset": "was forgotten by `ember state reset`",
    "rebase": "lost this state in `ember state rebase`",
    "closed by operator": "was closed by an operator",
}
"""Sentence about the key by `reason` of the resolved trigger."""
