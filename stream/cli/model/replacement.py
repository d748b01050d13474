"""Check of a bundle that is to replace the one in service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ember_core.pipeline import FleetModel
from stream.errors import UserError

from .diff import compare

_SHOWN_CHANNELS = 5


def replacement(
    old: FleetModel | None, new: FleetModel, bundle: str, *, force: bool
) -> dict[str, Any]:
    """Return the result of a replacement: both digests, and the state that a key keeps.

    Args:
        old: Model in service; None: there is none.
        new: Model to replace it.
        bundle: Name of the new bundle, for people.
        force: Accept a model that has no channel of the old one.

    Raises:
        UserError: If no channel is in both, unless `force`.
    """
    result: dict[str, Any] = {"deployed": new.sha256, "before": None}
    if old is None:
        return result
    if not force and not set(old.channels) & set(new.channels):
        raise UserError(
            "The bundle is of other telemetry: it would refuse every record. Expected a "
            f"channel of {_some(old.channels)}. Received: {bundle!r} with channels "
            f"{_some(new.channels)}. Where that is meant, say --force."
        )
    return result | {"before": old.sha256, "state": compare(old, new)["state"]}


def _some(channels: Sequence[str]) -> str:
    ellipsis = ", ..." if len(channels) > _SHOWN_CHANNELS else ""
    return ", ".join(channels[:_SHOWN_CHANNELS]) + ellipsis
