"""Rows of another layout or model: what of them is kept.

Names are the identity of fields: a field of equal name, type and shape is the same field. Where
the model is another one, only what was measured of the key is kept (its scales, its windows, its
place in the log); what the old weights had made of it begins anew, behind a quiet time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Role, names_with

from .layout import LAYOUT_VERSION, RowLayout, dtype_of
from .meta import MetaRow
from .model_version import FormerModel

HEAD_BYTES = 32
"""Of every row of every layout: `layout`, `stale`, `model`, `offset`, `last_time`."""


class Description(NamedTuple):
    """What rows of a model are: their record, and the channels their numbers stand for."""

    dtype: np.dtype[np.void]
    channels: tuple[str, ...]


def describe(meta: MetaRow | FormerModel) -> Description | None:
    """What a meta row says of its rows; None where it says nothing that can be used."""
    try:
        dtype = dtype_of(meta.fields)
    except (TypeError, ValueError):
        return None
    if not {"layout", "model", "offset"} <= set(dtype.names or ()):
        return None
    return Description(dtype, tuple(meta.channels))


def mark_of(sha256: str) -> int:
    """The mark of a model in its rows: the first 8 bytes of its digest."""
    return int.from_bytes(bytes.fromhex(sha256 or "00" * 8)[:8], "little")


def version_in(row: bytes) -> int:
    """The layout version a row carries."""
    return int.from_bytes(row[:2], "little")


def mark_in(row: bytes) -> int:
    """The mark a row carries."""
    return int.from_bytes(row[8:16], "little")


def offset_in(row: bytes) -> int:
    """The source offset a row has absorbed."""
    return int.from_bytes(row[16:24], "little", signed=True)


class RowMigrator:
    """Makes rows of ours from rows of others.

    Args:
        layout: Ours.
        mark: Of our model.
        channels: Of our model.
        warm_rows: Rows from which a key may alarm.
        quiet_rows: Rows for which a key with new weights may not.
    """

    def __init__(
        self,
        layout: RowLayout,
        mark: int,
        channels: tuple[str, ...],
        warm_rows: int,
        quiet_rows: int,
    ) -> None:
        self._layout = layout
        self._mark = mark
        self._channels = channels
        self._position = names_with(Role.POSITION, layout.fields)
        self._measured = names_with(Role.MEASURED, layout.fields)
        self._begin_rows = max(warm_rows - quiet_rows, 0)

    def ours(self, row: bytes) -> bool:
        """Whether a row is of our layout and model."""
        return (
            len(row) == self._layout.nbytes
            and version_in(row) == LAYOUT_VERSION
            and mark_in(row) == self._mark
        )

    def migrate(
        self,
        rows: Sequence[bytes],
        described: Mapping[int, Description],
        fresh: NDArray[np.uint8],
    ) -> dict[int, str]:
        """Write what is kept of rows over fresh ones; of ours all is.

        Args:
            rows: As they were in the changelog; n.
            described: What rows are, by their model's mark, as far as it is known.
            fresh: Our rows for the same keys, shape `(n, nbytes)`, written to.

        Returns:
            The places of rows of which nothing could be kept, and why.
        """
        whys: dict[int, str] = {}
        alike: dict[int, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            if self.ours(row):
                fresh[place] = np.frombuffer(row, dtype=np.uint8)
            elif why := _unfit(row, described.get(mark_in(row))):
                whys[place] = why
            else:
                alike[mark_in(row)].append(place)
        for mark, places in alike.items():
            joined = b"".join(rows[place] for place in places)
            theirs = np.frombuffer(joined, dtype=np.uint8).reshape(len(places), -1)
            block = fresh[places]
            self.take_over(theirs, described[mark], block)
            fresh[places] = block
        return whys

    def take_over(
        self, rows: NDArray[np.uint8], description: Description, fresh: NDArray[np.uint8]
    ) -> None:
        """Write what is kept of rows of one model over fresh ones.

        Args:
            rows: Shape `(n, bytes of theirs)`, n at least 1.
            description: What they are.
            fresh: Our rows for the same keys, shape `(n, nbytes)`, written to.
        """
        old = np.ascontiguousarray(rows).view(description.dtype)[:, 0]
        new = self._layout.views(fresh)
        same_model = int(old["model"][0]) == self._mark
        same_channels = description.channels == self._channels
        for name in description.dtype.names or ():
            if name in ("layout", "model") or name not in new:
                continue
            if not (
                same_model or name in self._position or (same_channels and name in self._measured)
            ):
                continue
            theirs, ours = old[name], new[name]
            if theirs.dtype == ours.dtype and theirs.shape == ours.shape:
                ours[...] = theirs
        counted = "rows" in (description.dtype.names or ())
        if not same_model and same_channels and counted:
            begun = np.minimum(old["rows"], self._begin_rows)
            new["rows"][...] = np.where(new["known"] > 0, new["rows"], begun)
        new["layout"][...], new["model"][...] = LAYOUT_VERSION, self._mark


def _unfit(row: bytes, description: Description | None) -> str:
    """Why nothing can be kept of a row; empty where it can."""
    version = version_in(row)
    if version > LAYOUT_VERSION:
        return f"layout {version}; this worker reads {LAYOUT_VERSION}"
    if description is None:
        return "written under another model or layout that no meta row describes"
    if len(row) != description.dtype.itemsize:
        return f"{len(row)} bytes where a row of its model has {description.dtype.itemsize}"
    return ""
