"""Reading endpoints: the state of the store as answers."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from stream.version import version

from . import answers, event_views, requests, views
from .endpoint import Call, Endpoint
from .guard import RefusedError

_HOUR_US: Final = 3_600_000_000
_KINDS: Final = ("trigger", "incident", "anomaly")


def status(call: Call) -> answers.StatusAnswer:
    """Return the state of the stream."""
    console, section = call.console, call.console.settings.console
    with console.store.locked() as store:
        return answers.StatusAnswer(
            stream=", ".join(console.settings.streams),
            version=version(),
            now_us=console.now_us(),
            last_us=store.last_us,
            keys=len(store.table),
            firing=int(np.count_nonzero(views.firing_flags(store))),
            channels=list(store.scores.channels),
            scores=store.scores.taken > 0,
            coverage=store.scores.coverage,
            can_write=call.user is not None and console.writer is not None,
            user=call.user,
            csrf=call.csrf,
            hours=store.hours,
            links=dict(section.links),
            demo=console.is_demo,
            reading=console.reading.phase,
            trouble=console.reading.trouble,
        )


def keys(call: Call) -> answers.KeysAnswer:
    """Return a page of keys."""
    query: requests.KeysQuery = call.query
    with call.console.store.locked() as store:
        return views.keys_answer(
            store,
            pattern=query.pattern,
            key=query.key,
            channel=query.channel,
            firing=None if not query.firing else query.firing == "1",
            sort=query.sort,
            offset=query.offset,
            limit=query.limit,
        )


def fleet(call: Call) -> answers.FleetAnswer:
    """Return the heat map."""
    query: requests.FleetQuery = call.query
    with call.console.store.locked() as store:
        return views.fleet_answer(store, **msgspec.structs.asdict(query))


def key(call: Call) -> answers.KeyAnswer:
    """Return one key."""
    with call.console.store.locked() as store:
        return views.key_answer(store, call.path["key"])


def series(call: Call) -> answers.SeriesAnswer:
    """Return scored rows of a key."""
    query: requests.SeriesQuery = call.query
    with call.console.store.locked() as store:
        end_us = query.end_us
        if end_us is None:
            end_us = views.key_answer(store, call.path["key"]).last_us + 1
        begin_us = max(0, end_us - _HOUR_US) if query.begin_us is None else query.begin_us
        names = [name for name in query.channels.split(",") if name]
        return views.series_answer(store, call.path["key"], begin_us, end_us, query.points, names)


def events(call: Call) -> answers.EventsAnswer:
    """Return events, the newest first."""
    query: requests.EventsQuery = call.query
    kinds = [kind for kind in query.kind.split(",") if kind]
    unknown = [kind for kind in kinds if kind not in _KINDS]
    if unknown:
        raise RefusedError(
            f"There is no such kind. Expected some of {', '.join(_KINDS)}. Received: "
            f"kind={unknown[0]!r}.",
            400,
        )
    with call.console.store.locked() as store:
        return event_views.events_answer(
            store, kinds, query.key, query.status, query.limit, query.before_us
        )


def incidents(call: Call) -> answers.IncidentsAnswer:
    """Return incidents."""
    query: requests.IncidentsQuery = call.query
    with call.console.store.locked() as store:
        return event_views.incidents_answer(store, query.status, query.limit)


def control(call: Call) -> answers.ControlAnswer:
    """Return the documents in force, and their history."""
    with call.console.store.locked() as store:
        return answers.ControlAnswer(
            enabled=call.console.writer is not None,
            documents=[event_views.document_answer(d) for d in store.documents.control.documents],
            history=[msgspec.to_builtins(change) for change in store.changes],
        )


def health(call: Call) -> answers.HealthAnswer:
    """Return the health of workers and console."""
    console = call.console
    workers = console.workers
    with console.store.locked():
        return answers.HealthAnswer(
            workers=[] if workers is None else workers.health,
            console=console.health,
            model=None if workers is None else workers.model,
        )


ENDPOINTS: Final = (
    Endpoint(
        "GET", "/api/status", requests.NoQuery, answers.StatusAnswer, status, "State of the stream."
    ),
    Endpoint("GET", "/api/keys", requests.KeysQuery, answers.KeysAnswer, keys, "Keys."),
    Endpoint(
        "GET",
        "/api/fleet",
        requests.FleetQuery,
        answers.FleetAnswer,
        fleet,
        "Heat map: severity of every key over time.",
    ),
    Endpoint(
        "GET",
        "/api/keys/{key}/series",
        requests.SeriesQuery,
        answers.SeriesAnswer,
        series,
        "Values, usual band and score of a key.",
    ),
    Endpoint(
        "GET", "/api/keys/{key}", requests.NoQuery, answers.KeyAnswer, key, "A key, its episodes."
    ),
    Endpoint(
        "GET",
        "/api/events",
        requests.EventsQuery,
        answers.EventsAnswer,
        events,
        "Episodes, anomalies and incidents, the newest first.",
    ),
    Endpoint(
        "GET",
        "/api/incidents",
        requests.IncidentsQuery,
        answers.IncidentsAnswer,
        incidents,
        "Incidents, the newest first.",
    ),
    Endpoint(
        "GET",
        "/api/control",
        requests.NoQuery,
        answers.ControlAnswer,
        control,
        "Documents of operators, and their history.",
    ),
    Endpoint(
        "GET",
        "/api/health",
        requests.NoQuery,
        answers.HealthAnswer,
        health,
        "Workers, console and model.",
    ),
)
