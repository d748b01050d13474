"""Migration of rows that were written under another layout or model.

Names are the identity of fields: a field of equal name, type and shape is the same field. Where
the model is another one, only measurements of the key are kept (its scales, its windows, its
place in the log). Fields that depend on the old weights begin anew, behind a time without events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import Role, names_with

from .given_up import GivenUp, given_up, holds_open
from .layout import LAYOUT_VERSION, RowLayout, dtype_of
from .meta import MetaRow
from .model_version import FormerModel

HEAD_BYTES = 32
"""Bytes of the header, equal in every layout: layout, stale, model, offset, last_time."""
_NEEDED = frozenset({"stale", "stale_since", "last_time", "seq", "episode_start", "peak_channel"})
"""Fields that tell the open alerts of a row."""


class Description(NamedTuple):
    """Layout of a model's rows, and the channels in the order of their fields."""

    dtype: np.dtype[np.void]
    channels: tuple[str, ...]


class Migration(NamedTuple):
    """Rows that were not kept whole, by their index.

    Attributes:
        refused: Reasons of rows that cannot be kept.
        given_up: Alerts that were open in a row, and are not in its successor.
    """

    refused: dict[int, str]
    given_up: dict[int, GivenUp]


def describe(meta: MetaRow | FormerModel) -> Description | None:
    """Return the layout of the rows of a meta row; None where it has none that can be used."""
    try:
        dtype = dtype_of(meta.fields)
    except (TypeError, ValueError):
        return None
    if not {"layout", "model", "offset"} <= set(dtype.names or ()):
        return None
    return Description(dtype, tuple(meta.channels))


def descriptions_of(meta: MetaRow) -> dict[int, Description]:
    """Return the layouts that a meta row describes, by the mark of their model."""
    descriptions = {}
    for layout in (*meta.former, *reversed(meta.described())):
        description = describe(layout)
        if description is not None and layout.model:
            descriptions[mark_of(layout.model)] = description
    return descriptions


def layout_of(meta: MetaRow, row: bytes) -> FormerModel:
    """Return the layout of a row by its model's mark; that of new rows where none is known."""
    layouts = (*meta.described(), *reversed(meta.former))
    mark = mark_in(row)
    return next((each for each in layouts if mark_of(each.model) == mark), layouts[0])


def mark_of(sha256: str) -> int:
    """Return the mark of a model in its rows: the first 8 bytes of its digest."""
    return int.from_bytes(bytes.fromhex(sha256 or "00" * 8)[:8], "little")


def version_in(row: bytes) -> int:
    """Return the layout version of a row."""
    return int.from_bytes(row[:2], "little")


def mark_in(row: bytes) -> int:
    """Return the model's mark of a row."""
    return int.from_bytes(row[8:16], "little")


def offset_in(row: bytes) -> int:
    """Return the source offset a row has absorbed."""
    return int.from_bytes(row[16:24], "little", signed=True)


class RowMigrator:
    """Makes current rows of rows of another layout or model.

    Args:
        layout: Current layout.
        mark: Mark of the current model.
        channels: Channels of the current model.
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

    def is_current(self, row: bytes) -> bool:
        """Return whether a row is of the current layout and model."""
        return (
            len(row) == self._layout.nbytes
            and version_in(row) == LAYOUT_VERSION
            and mark_in(row) == self._mark
        )

    def migrate(
        self,
        rows: Sequence[bytes],
        descriptions: Mapping[int, Description],
        target: NDArray[np.uint8],
        below: int = -1,
    ) -> Migration:
        """Write rows over initial ones, as far as they can be kept; current rows are kept whole.

        Args:
            rows: Rows of the changelog, `n` of them.
            descriptions: Known layouts by the model's mark.
            target: Initial rows of the same keys, shape `(n, nbytes)`, written to.
            below: Source offset below which another model came after a row's last record. A row in
                memory was migrated to that one and back, and one on disk must not differ from it.
        """
        reasons: dict[int, str] = {}
        given_up_alerts: dict[int, GivenUp] = {}
        renewed: list[int] = []
        by_mark: dict[int, list[int]] = defaultdict(list)
        for i, row in enumerate(rows):
            if self.is_current(row) and offset_in(row) < below:
                renewed.append(i)
            elif self.is_current(row):
                target[i] = np.frombuffer(row, dtype=np.uint8)
            elif reason := _refusal(row, descriptions.get(mark_in(row))):
                reasons[i] = reason
            else:
                by_mark[mark_in(row)].append(i)
        groups = [(descriptions[mark], indices, False) for mark, indices in by_mark.items()]
        if renewed:
            current = Description(self._layout.dtype, self._channels)
            groups.append((current, renewed, True))
        for description, indices, is_renewed in groups:
            block = np.frombuffer(b"".join(rows[i] for i in indices), dtype=np.uint8)
            migrated = target[indices]
            alerts_by_row = self.write_over(
                block.reshape(len(indices), -1), description, migrated, is_renewed=is_renewed
            )
            target[indices] = migrated
            given_up_alerts |= {indices[i]: alerts for i, alerts in alerts_by_row.items()}
        return Migration(reasons, given_up_alerts)

    def write_over(
        self,
        rows: NDArray[np.uint8],
        description: Description,
        target: NDArray[np.uint8],
        *,
        is_renewed: bool = False,
    ) -> dict[int, GivenUp]:
        """Write the fields to be kept of one model's rows over initial rows.

        Args:
            rows: Source rows, shape `(n, bytes of a row)`, n at least 1.
            description: Layout of the source rows.
            target: Initial rows of the same keys, shape `(n, nbytes)`, written to.
            is_renewed: Rows of the same model count as those of another one.

        Returns:
            Alerts that are not open any more, by row.
        """
        old = np.ascontiguousarray(rows).view(description.dtype)[:, 0]
        new = self._layout.views(target)
        same_model = int(old["model"][0]) == self._mark and not is_renewed
        same_channels = description.channels == self._channels
        for name in description.dtype.names or ():
            if name in ("layout", "model") or name not in new:
                continue
            if not (
                same_model or name in self._position or (same_channels and name in self._measured)
            ):
                continue
            source, current = old[name], new[name]
            if source.dtype == current.dtype and source.shape == current.shape:
                current[...] = source
        has_rows = "rows" in (description.dtype.names or ())
        if not same_model and same_channels and has_rows:
            # So few rows that the key gives no events for `quiet_rows`, but no more than it had.
            begin_rows = np.minimum(old["rows"], self._begin_rows)
            new["rows"][...] = np.where(new["known"] > 0, new["rows"], begin_rows)
        new["layout"][...], new["model"][...] = LAYOUT_VERSION, self._mark
        reason = "settings" if same_model else "model" if same_channels else "channels"
        return _lost_alerts(old, description, new, reason)

    def open_alerts(
        self, row: bytes, descriptions: Mapping[int, Description], reason: str
    ) -> GivenUp | None:
        """Return the open alerts of a row that is forgotten; None where there is none to be seen.

        Args:
            row: The row.
            descriptions: Known layouts by the model's mark.
            reason: Reason for which it is forgotten.
        """
        current = Description(self._layout.dtype, self._channels)
        return alerts_of(row, {**descriptions, self._mark: current}, reason)


def alerts_of(
    row: bytes, descriptions: Mapping[int, Description], reason: str = ""
) -> GivenUp | None:
    """Return the open alerts of a row; None where there is none, or no layout fits.

    Args:
        row: The row.
        descriptions: Known layouts by the model's mark.
        reason: Reason for which they are given up.
    """
    description = descriptions.get(mark_in(row)) if len(row) >= HEAD_BYTES else None
    if description is None or len(row) != description.dtype.itemsize:
        return None
    record = np.frombuffer(row, dtype=description.dtype)
    return _lost_alerts(record, description, None, reason).get(0)


def _lost_alerts(
    old: NDArray[np.void],
    description: Description,
    new: Mapping[str, NDArray[Any]] | None,
    reason: str,
) -> dict[int, GivenUp]:
    """Return the alerts that are open in old rows and not in new ones, by row."""
    names = description.dtype.names or ()
    if not _NEEDED.issubset(names):
        return {}
    fields = {name: old[name] for name in names}
    alerts_by_row = {
        row: given_up(fields, row, description.channels, reason, new)
        for row in np.flatnonzero(holds_open(fields)).tolist()
    }
    return {row: alerts for row, alerts in alerts_by_row.items() if alerts}


def _refusal(row: bytes, description: Description | None) -> str:
    """Return the reason why a row cannot be migrated; empty where it can."""
    version = version_in(row)
    if version > LAYOUT_VERSION:
        return f"layout {version}; this worker reads {LAYOUT_VERSION}"
    if description is None:
        return "written under another model or layout that no meta row describes"
    if len(row) != description.dtype.itemsize:
        return f"{len(row)} bytes where a row of its model has {description.dtype.itemsize}"
    return ""
