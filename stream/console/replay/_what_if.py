"""Replay of some keys as it is and with a change: which pages come, and which go."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import msgspec

from stream.backtest import backtest
from stream.configure import engine_settings, load_models
from stream.console import event_views
from stream.console.store import Episode, Store
from stream.event_times import parse_time
from stream.keys import key_text
from stream.records import Event
from stream.rule_trial import Page, compare

from ._records import OnStep, read_records
from ._task import WhatIfTask


def what_if(task: WhatIfTask, on_step: OnStep) -> dict[str, Any]:
    """Return the episodes without the change and with it.

    Args:
        task: The task.
        on_step: Function told of the progress.

    Raises:
        UserError: If model or records cannot be read.
    """
    started_at = time.monotonic()
    model = load_models(task.settings)
    dataset = read_records(task.settings, model.sources, task.keys, task.since_ms, on_step)
    window, limits = engine_settings(task.settings)
    replay = partial(
        backtest,
        dataset=dataset,
        topic=task.settings.engine_topics[0],
        stream_names=task.settings.stream_names,
        window=window,
        limits=limits,
    )
    on_step("replaying as it is", 0.0)
    result = replay(model, control=task.control)
    on_step("replaying with the change", 0.0)
    # Read anew: settings such as the budget are applied to the model itself.
    changed_result = replay(load_models(task.changed), control=task.changed_control)
    changes = compare(result.events, changed_result.events, task.changed_control)
    first, second = _episodes(result.events), _episodes(changed_result.events)
    return {
        "seconds": round(time.monotonic() - started_at, 3),
        "rows": sum(len(scores.score) for scores in result.scores),
        "keys": len(dataset.tables),
        "before": [_answer(episode) for episode in first.values()],
        "after": [_answer(episode) for episode in second.values()],
        "gone": [first[_place(page)].id for page in changes.gone],
        "new": [second[_place(page)].id for page in changes.new],
        "pages_before": len(changes.before),
        "pages_after": len(changes.after),
    }


Place = tuple[str, str, int]


def _episodes(events: list[Event]) -> dict[Place, Episode]:
    """Return the episodes of triggers by key, alert and begin, in order of their first one."""
    store = Store(1 << 20, 1.0)
    for event in events:
        if event.kind == "trigger":
            store.take_event(event.id, event.kind, key_text(event.key), 0, event.body)
    return {
        (episode.key, episode.fingerprint, episode.starts_us): episode
        for episode in store.episodes.episodes()
    }


def _place(page: Page) -> Place:
    return page.key, page.fingerprint, parse_time(page.start)


def _answer(episode: Episode) -> Any:
    return msgspec.to_builtins(event_views.episode_answer(Store(1 << 20, 1.0), episode))
