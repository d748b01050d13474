"""Sixty simulated days with a model that is retrained every week, and with one that is not.

A candidate is trained without the newest two days, and goes in service if the gate accepts it on
them. A new model begins with a day of rows; the first one goes on with its state. Both models see
the same rows and the same injected faults in every week.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.frame import log_progress
from benchmarks.markdown import table
from benchmarks.ordinary.hosts import CHANNELS
from ember_core.pipeline import CivilCalendar, FleetModel, PipelineConfig
from ember_core.pipeline.fit import Contestant, Incident, Verdict, fit_pipeline, judge
from ember_core.pipeline.fit.incidents import Marks
from ember_core.pipeline.fit.trials.course import Course, aligned
from ember_core.pipeline.fit.trials.paired import caught_by_each, stops_of
from ember_core.pipeline.fit.trials.replay import Replay, episodes, replay
from ember_core.pipeline.fit.trials.walk import first_state
from ember_core.pipeline.stage import State

from .season import INCIDENTS, ZONE, Season, simulate, with_incident

HISTORY, HELD, WEEK = 14.0, 2.0, 7.0
"""Days of a training, days that are held back from it, and days between two."""
MODELS = WITH, WITHOUT = "retrained", "first model"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the measurement."""
    parser.add_argument("--keys", type=int, default=9)
    parser.add_argument("--days", type=float, default=60.0, help="of service")
    parser.add_argument("--step", type=float, default=600.0, help="seconds between rows")
    parser.add_argument("--retrainings", type=int, default=7, help="one a week")
    parser.add_argument("--budget", type=float, default=1.0, help="pages per key and week")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=11)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Simulate.

    Returns:
        `weeks`: pages per key and day, and the share of injected faults that are caught, of both
        models; `retrainings`: the verdict on each candidate; `poisoned`: that on a candidate
        whose history holds a week of incident.
    """
    season = simulate(options.seed, options.keys, HISTORY + HELD, options.days, options.step)
    trial = _Trial(season, options)
    first = trial.train(season, 0.0, [])
    told_episodes: list[Incident] = []
    models = {WITH: first, WITHOUT: first}
    weeks, verdicts = [], []
    poisoned: Verdict | None = None
    days = [*(WEEK * k for k in range(options.retrainings + 1)), options.days - WEEK, options.days]
    for number, (begin, end) in enumerate(pairwise(days)):
        if 0 < number <= options.retrainings:
            log_progress(f"retraining on day {begin:g}")
            if number == options.retrainings:
                poisoned = trial.judge(trial.poisoned(begin), models[WITH], begin, told_episodes)
            candidate = trial.train(season, begin, told_episodes)
            verdict = trial.judge(candidate, models[WITH], begin, told_episodes)
            log_progress(f"accepted: {verdict.accepted} {' '.join(verdict.reasons)}")
            verdicts.append({"day": begin, **verdict.as_json()})
            if verdict.accepted:
                models[WITH] = candidate
        week, new_episodes = trial.week(models, begin, end)
        log_progress(str({name: week[name] for name in models}))
        weeks.append(week)
        told_episodes += new_episodes
    assert poisoned is not None
    return {
        "weeks": weeks,
        "retrainings": verdicts,
        "poisoned": poisoned.as_json(),
        "budget_per_key_day": options.budget / 7.0,
        "incidents": INCIDENTS,
    }


class _Trial:
    """Trainings and weeks of one fleet.

    Args:
        season: The fleet.
        options: Options of the benchmark.
    """

    def __init__(self, season: Season, options: argparse.Namespace) -> None:
        self._season, self._options = season, options
        self._states: dict[str, tuple[FleetModel, list[bytes], State]] = {}

    def train(self, season: Season, day: float, incidents: Sequence[Incident]) -> FleetModel:
        """Train on the two weeks before the days that are held back."""
        config = PipelineConfig(CHANNELS, evidence="channels+joint", seed=self._options.seed)
        end = day - HELD
        return fit_pipeline(
            season.between(end - HISTORY, end),
            config,
            epochs=self._options.epochs,
            budget_per_week=self._options.budget,
            calendar=CivilCalendar(ZONE),
            incidents=incidents,
        ).to(backend="numpy")

    def poisoned(self, day: float) -> FleetModel:
        """Train on a history with a week of incident that nobody has told."""
        end = day - HELD
        season = with_incident(self._season, end - WEEK, end, self._options.seed)
        return self.train(season, day, [])

    def judge(
        self, candidate: FleetModel, model: FleetModel, day: float, told: Sequence[Incident]
    ) -> Verdict:
        """Let the gate judge a candidate on the days that were held back."""
        rows = self._season.between(day - HELD - 1.0, day)
        return judge(
            Contestant(candidate, rows),
            Contestant(model, rows),
            since_us=self._season.day(day - HELD),
            budget_per_week=self._options.budget,
            incidents=told,
            seed=self._options.seed,
        )

    def week(
        self, models: Mapping[str, FleetModel], begin: float, end: float
    ) -> tuple[dict[str, Any], list[Incident]]:
        """Run the days of all models; return figures, and the episodes of the retrained one."""
        log_progress(f"days {begin:g} to {end:g}")
        season, seed = self._season, self._options.seed
        rows = season.between(begin, end)
        sides = [Contestant(model, rows) for model in models.values()]
        courses = aligned(sides[0], sides[1], season.day(begin), seed)
        marks = Marks(courses[0].series, season.incidents)
        stops = stops_of(courses[0], marks, seed)
        replays = []
        for name, course in zip(models, courses, strict=True):
            state = self._state(name, course, begin)
            replays.append(replay(course.model.pipeline, state, course.series, stops))
            self._states[name] = course.model, [s.key for s in course.series], state
        columns, moments = caught_by_each(
            courses, [replayed.states for replayed in replays], stops, seed
        )
        days = sum(
            float(np.count_nonzero(~marked)) * self._options.step / 86_400.0
            for marked in marks.rows
        )
        figures: dict[str, Any] = {"first_day": begin, "end_day": end, "faults": len(moments)}
        for name, replayed, hits in zip(models, replays, columns, strict=True):
            pages, paged = _pages(replayed, marks)
            figures[name] = {
                "pages_per_key_day": round(pages / days, 4),
                "incidents_paged": paged,
                "faults_caught": round(float(hits.sum()) / max(len(hits), 1), 4),
            }
        return figures, _told(courses[0], replays[0])

    def _state(self, name: str, course: Course, begin: float) -> State:
        """Return the states of the keys: those of the days before, or a new model's after a day."""
        keys = [s.key for s in course.series]
        model, order, state = self._states.get(name, (None, [], {}))
        if model is course.model:
            batch_rows = [order.index(key) for key in keys]
            return {field: value[batch_rows].copy() for field, value in state.items()}
        former = {s.key: s for s in self._season.between(begin - 1.0, begin)}
        # The longest first, as a replay needs them, and then in the order of the course.
        ordered = sorted(keys, key=lambda key: -len(former[key].time_us))
        rows = [former[key] for key in ordered]
        state = first_state(course.model, rows)
        replay(course.model.pipeline, state, rows)
        batch_rows = [ordered.index(key) for key in keys]
        return {field: value[batch_rows].copy() for field, value in state.items()}


def _pages(replayed: Replay, marks: Marks) -> tuple[int, int]:
    """Return the pages outside of incidents, and the incidents that were paged."""
    pages = paged = 0
    for own_pages, marked in zip(replayed.pages, marks.rows, strict=True):
        pages += int((own_pages & ~marked).sum())
        paged += sum(bool(own_pages[rows].any()) for rows in episodes(marked))
    return pages, paged


def _told(course: Course, replayed: Replay) -> list[Incident]:
    """Return the episodes of some days as the service would know them."""
    return [
        Incident(s.key, int(s.time_us[rows.start]), int(s.time_us[rows.stop - 1]))
        for s, firing in zip(course.series, replayed.firing, strict=True)
        for rows in episodes(firing)
    ]


def page(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    rows = []
    for week in result["weeks"]:
        cells = [f"{week['first_day']:g} to {week['end_day']:g}"]
        for name in (WITH, WITHOUT):
            side = week[name]
            cells += [f"{side['pages_per_key_day']:.2f}", f"{side['faults_caught']:.0%}"]
        rows.append(tuple(cells))
    head = ("days", f"{WITH}: pages", "caught", f"{WITHOUT}: pages", "caught")
    return table(head, rows)


def part(result: Mapping[str, Any] | None) -> str:
    """The figures and the verdicts as Markdown, or that nothing was measured."""
    if result is None:
        return "Not measured yet: `python -m benchmarks retraining --save` does it.\n"
    refused = sum(not verdict["accepted"] for verdict in result["retrainings"])
    poisoned = result["poisoned"]
    word = "accepted" if poisoned["accepted"] else "refused"
    paged = {
        name: sum(week[name]["incidents_paged"] for week in result["weeks"]) for name in MODELS
    }
    return (
        f"{page(result)}\n"
        f"Of {len(result['retrainings'])} retrainings the gate refused {refused}. "
        f"Of {result['incidents']} incidents {paged[WITH]} were paged by the retrained model, and "
        f"{paged[WITHOUT]} by the first one. The history with a week of incident was {word}"
        f"{'' if poisoned['accepted'] else ': ' + ' '.join(poisoned['reasons'])}\n"
    )


def lines(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines for a terminal."""
    refused = [
        f"day {verdict['day']:g}: {' '.join(verdict['reasons'])}"
        for verdict in result["retrainings"]
        if not verdict["accepted"]
    ]
    poisoned = result["poisoned"]
    return [
        *page(result).splitlines(),
        f"budget: {result['budget_per_key_day']:.3f} pages per key and day",
        f"retrainings refused: {len(refused)} of {len(result['retrainings'])}",
        *refused,
        f"poisoned history: {'accepted' if poisoned['accepted'] else 'refused'}",
        *poisoned["reasons"],
    ]
