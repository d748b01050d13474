"""An operator's figures of pages: false ones, faults paged, channels named, delays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final, Literal

import numpy as np

from .fleet import MARGIN_ROWS, Fault, Fleet, KeySeries

Status = Literal["firing", "updated", "resolved"]
NAMED: Final = 3  # channels of a page that are looked at


@dataclass(frozen=True)
class Page:
    """A message that reached the operator.

    Attributes:
        key: The key.
        time_us: Event time of its row.
        status: `firing` begins an episode, `updated` pages again inside it, `resolved` ends it.
        named: Channels it names, the first one first.
    """

    key: str
    time_us: int
    status: Status
    named: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figures:
    """The operator's figures over the scored part of a fleet.

    Attributes:
        key_days: Days of all keys together.
        pages: Pages that fired, first ones and those inside an episode.
        false_pages: Those at no fault.
        false_a_day: Those per key and day.
        faults: Faults.
        paged: Those with a page inside; a hidden one needs a page that names a channel of it.
        named: Those paged with a channel at fault among the first three of a page; None where
            no fault has its channels known.
        hidden: Faults that began inside an open fault.
        hidden_paged: Those of them that were paged.
        delay_minutes: Median from the first row of a fault to its first page.
        resolve_minutes: Median from the last row of a paged fault to the end of its episode; 0
            where it ended before, and until the data ends where it never does.
        pages_per_fault: Mean number of pages inside a paged fault.
        by_kind: Paged and all faults of each kind.
    """

    key_days: float
    pages: int
    false_pages: int
    false_a_day: float
    faults: int
    paged: int
    named: int | None
    hidden: int
    hidden_paged: int
    delay_minutes: float | None
    resolve_minutes: float | None
    pages_per_fault: float | None
    by_kind: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass
class _Row:
    """A page at a row of its key."""

    row: int
    status: Status
    named: tuple[str, ...]


@dataclass
class _Tally:
    """Sums over the keys."""

    pages: int = 0
    false: int = 0
    named: int = 0
    delays: list[float] = field(default_factory=list)
    resolves: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    paged: list[Fault] = field(default_factory=list)


def assess(fleet: Fleet, pages: Iterable[Page], keys: Sequence[str] | None = None) -> Figures:
    """Compare pages with the faults of a fleet.

    A page is of a fault from a row before its first until five rows after its last.

    Args:
        fleet: The fleet.
        pages: Pages of the scored part, in any order; those of training rows are left out.
        keys: Keys to look at; None for all.
    """
    by_key: dict[str, list[Page]] = {}
    for page in pages:
        by_key.setdefault(page.key, []).append(page)
    looked = [s for s in fleet.keys if keys is None or s.key in keys]
    tally = _Tally()
    for series in looked:
        _assess_key(series, _rows(series, by_key.get(series.key, [])), tally)
    faults = [fault for series in looked for fault in series.events]
    days = sum(_scored_days(series) for series in looked)
    kinds = sorted({fault.kind for fault in faults})
    return Figures(
        key_days=days,
        pages=tally.pages,
        false_pages=tally.false,
        false_a_day=tally.false / days if days else 0.0,
        faults=len(faults),
        paged=len(tally.paged),
        named=tally.named if any(fault.channels for fault in faults) else None,
        hidden=sum(fault.hidden for fault in faults),
        hidden_paged=sum(fault.hidden for fault in tally.paged),
        delay_minutes=median(tally.delays) if tally.delays else None,
        resolve_minutes=median(tally.resolves) if tally.resolves else None,
        pages_per_fault=float(np.mean(tally.counts)) if tally.counts else None,
        by_kind={
            kind: (
                sum(fault.kind == kind for fault in tally.paged),
                sum(fault.kind == kind for fault in faults),
            )
            for kind in kinds
        },
    )


def assessed(fleet: Fleet, pages: Sequence[Page]) -> dict[str, Any]:
    """Figures as JSON has them; those of new keys alone under `new_keys`, where there are some."""
    out = asdict(assess(fleet, pages))
    if fleet.new_keys:
        out["new_keys"] = asdict(assess(fleet, pages, fleet.new_keys))
    return out


def _assess_key(series: KeySeries, pages: list[_Row], tally: _Tally) -> None:
    """Add the pages of one key."""
    fires = [page for page in pages if page.status != "resolved"]
    tally.pages += len(fires)
    tally.false += sum(not any(_inside(f, page) for f in series.events) for page in fires)
    for fault in series.events:
        of_it = [page for page in fires if _inside(fault, page)]
        right = [page for page in of_it if set(page.named[:NAMED]) & set(fault.channels)]
        if fault.hidden:  # a page about the first fault says nothing of the second
            of_it = right
        if not of_it:
            continue
        tally.paged.append(fault)
        tally.named += bool(right)
        tally.counts.append(len(of_it))
        late = series.times_us[of_it[0].row] - series.times_us[fault.first]
        tally.delays.append(max(float(late), 0.0) / 6e7)
        end_us = int(series.times_us[fault.last])
        tally.resolves.append(_open_after(series, pages, fault, end_us))


def _open_after(series: KeySeries, pages: list[_Row], fault: Fault, end_us: int) -> float:
    """Minutes from the end of a fault until no episode that it was paged in is open."""
    firing_rows = [
        p.row for p in pages if p.status == "firing" and p.row <= fault.last + MARGIN_ROWS[1]
    ]
    if not firing_rows:
        return 0.0
    ends = [page.row for page in pages if page.status == "resolved" and page.row > firing_rows[-1]]
    last = ends[0] if ends else len(series.times_us) - 1
    return max(float(series.times_us[last] - end_us), 0.0) / 6e7


def _inside(fault: Fault, page: _Row) -> bool:
    return fault.first - MARGIN_ROWS[0] <= page.row <= fault.last + MARGIN_ROWS[1]


def _rows(series: KeySeries, pages: Sequence[Page]) -> list[_Row]:
    """Pages at rows of the key; a page between two rows is at the earlier one."""
    first = int(series.train.sum())
    out = []
    for page in sorted(pages, key=lambda one: one.time_us):
        row = int(np.searchsorted(series.times_us, page.time_us, side="right")) - 1
        if row >= first:
            out.append(_Row(row, page.status, page.named))
    return out


def _scored_days(series: KeySeries) -> float:
    times = series.times_us[~series.train]
    return float(times[-1] - times[0]) / 86_400e6 if len(times) else 0.0
