"""Judgement of a retrained model on recent days that it was trained without.

It has to page within the budget, to catch no fewer injected faults than the model in service, and
to agree with it on episodes. Both models see the same rows and the same faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ember_core import ops
from ember_core.pipeline.fit.incidents import MARGIN_ROWS, Incident, Marks

from .chances import poisson_most, sign_chance
from .course import Course, aligned
from .expected_pages import expected_pages
from .paired import caught_by_each, stops_of
from .replay import Replay, Stop, episodes, replay
from .verdict import Contestant, Verdict
from .walk import first_state

OVER_BUDGET: Final = 1.5
"""Factor on the budget that a candidate's rate of pages may have."""
CHANCE: Final = 0.01
"""Chance at which a candidate that catches as much is refused."""
FEWER: Final = 0.02
"""Share of the injected faults that a candidate may catch fewer."""
MOST_ALONE: Final = 0.1
"""Share of the rows at which the candidate alone may have an episode open."""
TOLD_CHANCE: Final = 0.05
"""Chance at which a candidate that tells half of the known episodes is refused."""

Figures = dict[str, float]


@ops.default_backend("numpy")
def judge(
    candidate: Contestant,
    in_service: Contestant | None,
    *,
    since_us: int,
    budget_per_week: float | None = None,
    incidents: Sequence[Incident] = (),
    seed: int = 0,
) -> Verdict:
    """Judge a candidate on the rows since a time, which it was trained without.

    Rows of incidents count neither for pages nor for injected faults. Episodes that the model in
    service told in them are known ones: the candidate has to tell them too.

    Args:
        candidate: The model to judge, with its threshold, and rows in its channels.
        in_service: The model that it would replace, with the same times of rows; None for a first
            model, which is only held to its budget.
        since_us: First time of the rows that are judged, microseconds since the epoch.
        budget_per_week: Pages accepted per key and week. Default: as many as the candidate's own
            threshold promises.
        incidents: Episodes of the time that nobody called false, and windows to leave out.
        seed: Seed of the sample of keys, and of the faults.

    Returns:
        The verdict. Every reason gives the finding and the limit.
    """
    courses = aligned(candidate, in_service, since_us, seed)
    if not courses:
        return Verdict(False, [_NO_ROWS], {"keys": 0.0})
    marks = Marks(courses[0].series, incidents)
    stops = stops_of(courses[0], marks, seed) if len(courses) > 1 else []
    replays = [
        replay(c.model.pipeline, first_state(c.model, c.series), c.series, stops) for c in courses
    ]
    budget = expected_pages(candidate.model)
    if budget_per_week is not None:
        budget = budget_per_week / 7.0
    figures = {"keys": float(len(courses[0].series))}
    reasons = _pages(courses, replays, marks, budget, figures)
    if len(courses) > 1:
        reasons += _faults(courses, replays, stops, seed, figures)
        reasons += _agreement(courses[0], replays, marks, incidents, figures)
    return Verdict(not reasons, reasons, figures)


_NO_ROWS: Final = (
    "No key that the candidate knows has rows in the days that were held back. Expected keys with "
    "rows before and since. Train on a longer history, or hold fewer days back."
)


def _pages(
    courses: Sequence[Course],
    replays: Sequence[Replay],
    marks: Marks,
    budget: float,
    figures: Figures,
) -> list[str]:
    """Hold the candidate to its budget."""
    key_days = _key_days(courses[0], marks)
    pages = [_count_pages(courses[0], replayed, marks) for replayed in replays]
    allowed = poisson_most(OVER_BUDGET * budget * key_days)
    figures |= {
        "key_days": key_days,
        "budget_per_key_day": budget,
        "pages_allowed": float(allowed),
        "pages": float(pages[0]),
        "pages_per_key_day": pages[0] / max(key_days, 1e-9),
    }
    if len(pages) > 1:
        figures["pages_in_service"] = float(pages[1])
    if pages[0] <= allowed:
        return []
    text = (
        f"It pages {pages[0]:,} times in {key_days:,.1f} days of its keys together. Expected at "
        f"most {allowed:,}, by a budget of {budget:.3g} pages per key and day."
    )
    return [text]


def _faults(
    courses: Sequence[Course],
    replays: Sequence[Replay],
    stops: Sequence[Stop],
    seed: int,
    figures: Figures,
) -> list[str]:
    """Compare the injected faults that both catch; a moment of a key counts once."""
    catches, moments = caught_by_each(
        courses, [replayed.states for replayed in replays], stops, seed
    )
    count = len(moments)
    figures["faults"] = float(count)
    if not count:
        return []
    new, old = (float(np.mean(column)) for column in catches)
    gain = np.bincount(moments, catches[0].astype(float) - catches[1].astype(float))
    worse, better = int((gain < 0).sum()), int((gain > 0).sum())
    chance = sign_chance(worse, better)
    figures |= {
        "faults_caught": new,
        "faults_caught_in_service": old,
        "moments_worse": float(worse),
        "moments_better": float(better),
    }
    if new >= old - FEWER or chance >= CHANCE:
        return []
    text = (
        f"It catches {new:.0%} of {count:,} injected faults, the model in service {old:.0%}. "
        f"Expected no fewer. It is worse at {worse:,} moments and better at {better:,}."
    )
    return [text]


def _agreement(
    course: Course,
    replays: Sequence[Replay],
    marks: Marks,
    incidents: Sequence[Incident],
    figures: Figures,
) -> list[str]:
    """Compare the episodes of both, as a shadow run does."""
    new, old = replays
    equal = alone = total = n_told = n_known = 0
    key_marks = Marks(
        course.series, [incident for incident in incidents if incident.key is not None]
    )
    for k, begin in enumerate(course.begins):
        new_open, old_open = new.firing[k][begin:], old.firing[k][begin:]
        equal += int((new_open == old_open).sum())
        alone += int((new_open & ~old_open).sum())
        total += len(new_open)
        for rows in episodes(old.firing[k]):
            if rows.stop > begin and key_marks.rows[k][rows].any():
                n_known += 1
                margin = slice(max(rows.start - MARGIN_ROWS, 0), rows.stop + MARGIN_ROWS)
                n_told += bool(new.firing[k][margin].any())
    share_alone = alone / max(total, 1)
    figures |= {
        "agreement": equal / max(total, 1),
        "open_alone": share_alone,
        "episodes_known": float(n_known),
        "episodes_told": float(n_told),
    }
    reasons = []
    if share_alone > MOST_ALONE:
        reasons.append(
            f"It has an episode open at {share_alone:.0%} of the rows while the model in service "
            f"has none. Expected at most {MOST_ALONE:.0%}."
        )
    if sign_chance(n_known - n_told, n_told) < TOLD_CHANCE:
        reasons.append(
            f"It tells {n_told:,} of {n_known:,} known episodes of these days. Expected half of "
            "them. Mark those that were false, or deploy it by hand."
        )
    return reasons


def _key_days(course: Course, marks: Marks) -> float:
    """Return the days of the judged rows that count, each key's by its usual interval."""
    days = 0.0
    for s, begin, marked in zip(course.series, course.begins, marks.rows, strict=True):
        usual = float(np.median(np.diff(s.time_us))) if len(s.time_us) > 1 else 0.0
        days += float(np.count_nonzero(~marked[begin:])) * usual / 86_400e6
    return days


def _count_pages(course: Course, replayed: Replay, marks: Marks) -> int:
    """Count the pages of the judged rows, without those of episodes that touch a marked row."""
    count = 0
    for k, begin in enumerate(course.begins):
        for rows in episodes(replayed.firing[k]):
            if not marks.rows[k][rows].any():
                count += int(replayed.pages[k][max(rows.start, begin) : rows.stop].sum())
    return count
