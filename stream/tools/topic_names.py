"""Names of topics to suggest where one is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_MOST: Final = 12
"""Names in a sentence; a cluster may have thousands."""


def likely_topics(names: Iterable[str], wanted: str) -> str:
    """Return the topics of a cluster, of many those whose names are closest to the wanted one.

    Args:
        names: All topics of the cluster; Kafka's own are left out.
        wanted: Name that is not among them.
    """
    topics = sorted(name for name in names if not name.startswith("__"))
    suggested = topics
    if len(topics) > _MOST:
        suggested = difflib.get_close_matches(wanted, topics, _MOST, cutoff=0.0)
    others_text = (
        f", and {len(topics) - len(suggested):,} more" if len(topics) > len(suggested) else ""
    )
    return (", ".join(suggested) or "none") + others_text
