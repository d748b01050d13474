"""Writing endpoints: documents of operators, each with the request that takes it back."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from stream.control import Acknowledgement, Calendar, Document, Feedback, Silence
from stream.control.choices import with_choices
from stream.control.files import same
from stream.control.known_times import with_times_at, without_times
from stream.feedback import NAME_DIGITS, feedback_of
from stream.kafka.control_topic.publisher import Edit, Stamp
from stream.records import TIME_MAX_US, rfc3339

from . import answers, event_views, requests
from .endpoint import Call, Endpoint
from .guard import RefusedError
from .views import NotKnownError


def write_document(call: Call) -> answers.WriteAnswer:
    """Write a document of any kind."""
    query: requests.DocumentBody = call.query
    name = query.name or f"{query.kind}-{secrets.token_hex(4)}"
    fields = {
        "name": name,
        "author": call.user,
        "time": _now(),
        "reason": query.reason,
        "body": {**query.body, "kind": query.kind},
    }
    try:
        document = msgspec.convert(fields, Document)
    except msgspec.ValidationError as error:
        raise RefusedError(
            f"The document cannot be used. Expected a body as of a file of `ember control apply`. "
            f"Received: {with_choices(error, Document)}.",
            400,
        ) from None
    document.checked()
    if isinstance(document.body, Calendar):
        calendar = with_times_at(document.body, document.time)  # workers work out none
        document = msgspec.structs.replace(document, body=calendar)
    return _written(call, document)


def remove_document(call: Call) -> answers.WriteAnswer:
    """Remove a document."""
    key = f"{call.path['kind']}/{call.path['name']}"
    with call.console.store.locked() as store:
        former = store.documents.control.find(key)
    if former is None:
        raise NotKnownError(f"There is no such document. Received: {key!r}. Ask /api/control.")
    _publish(call, Edit(key, former, None), "")
    return answers.WriteAnswer(document=None, removed=key, undo=_undo_of(key, former))


def give_feedback(call: Call) -> answers.WriteAnswer:
    """Say that an event was nothing, real, or is usual now."""
    query: requests.FeedbackBody = call.query
    with call.console.store.locked() as store:
        episode = store.episodes.find(query.event)
    if episode is None:
        raise NotKnownError(_no_event(query.event))
    bodies = [episode.bodies[query.event]]
    bodies += [body for event_id, body in episode.bodies.items() if event_id != query.event]
    feedback = feedback_of(query.event, bodies, query.verdict, query.note)
    return _written(call, _document(call, query.event[:NAME_DIGITS], feedback, query.note))


def acknowledge(call: Call) -> answers.WriteAnswer:
    """Say that an alert or an incident is in work."""
    query: requests.AcknowledgeBody = call.query
    with call.console.store.locked() as store:
        is_known = store.episodes.find(query.event) is not None
        is_known |= any(incident.id == query.event for incident in store.incidents.newest_first())
    if not is_known:
        raise NotKnownError(_no_event(query.event))
    body = Acknowledgement(event=query.event, note=query.note)
    return _written(call, _document(call, query.event[:NAME_DIGITS], body, query.note))


def silence(call: Call) -> answers.WriteAnswer:
    """Silence keys and channels until a time."""
    query: requests.SilenceBody = call.query
    if not call.console.now_us() < query.until_us < TIME_MAX_US:
        raise RefusedError(
            "The silence would be over already. Expected a time to come, in microseconds since "
            f"the epoch. Received: until_us={query.until_us}.",
            400,
        )
    end = rfc3339(query.until_us)
    body = Silence(until=end, keys=tuple(query.keys), channels=tuple(query.channels))
    return _written(call, _document(call, f"silence-{secrets.token_hex(4)}", body, query.reason))


def _document(
    call: Call, name: str, body: Feedback | Acknowledgement | Silence, reason: str
) -> Document:
    assert call.user is not None  # the guard refuses others
    return Document(name=name, author=call.user, time=_now(), reason=reason, body=body)


def _written(call: Call, document: Document) -> answers.WriteAnswer:
    """Write a document, and return the request that takes it back."""
    document.checked()
    with call.console.store.locked() as store:
        former = store.documents.control.find(document.key)
    if former is not None and same(former, document):
        document = former  # as it is: nothing to write
    else:
        _publish(call, Edit(document.key, former, document), document.reason)
    return answers.WriteAnswer(
        document=event_views.document_answer(document),
        removed=None,
        undo=_undo_of(document.key, former),
    )


def _publish(call: Call, edit: Edit, reason: str) -> None:
    console = call.console
    if console.writer is None:
        raise RefusedError(
            "The workers of this group follow no documents. Expected control.enabled=true. "
            "Received: control.enabled=false. Set it in ember.toml, and restart the workers.",
            409,
        )
    assert call.user is not None
    console.writer.publish([edit], Stamp(call.user, reason, _now()))


def _undo_of(key: str, former: Document | None) -> answers.Undo:
    kind, _, name = key.partition("/")
    if former is None:
        return answers.Undo("DELETE", f"/api/control/{quote(kind)}/{quote(name, safe='')}", None)
    written = without_times(former.body) if isinstance(former.body, Calendar) else former.body
    plain: dict[str, Any] = msgspec.to_builtins(written)
    body = {field: value for field, value in plain.items() if field != "kind"}
    request = {"kind": kind, "name": name, "reason": former.reason, "body": body}
    return answers.Undo("POST", "/api/control", request)


def _no_event(event_id: str) -> str:
    return (
        "There is no such event among the hours that the console keeps. Expected an id of "
        f"/api/events. Received: {event_id[:64]!r}."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/control",
        requests.DocumentBody,
        answers.WriteAnswer,
        write_document,
        "Write a document.",
    ),
    Endpoint(
        "DELETE",
        "/api/control/{kind}/{name}",
        requests.NoQuery,
        answers.WriteAnswer,
        remove_document,
        "Remove a document.",
    ),
    Endpoint(
        "POST",
        "/api/feedback",
        requests.FeedbackBody,
        answers.WriteAnswer,
        give_feedback,
        "Judge an event: false-alarm, real or normal-now.",
    ),
    Endpoint(
        "POST",
        "/api/acknowledge",
        requests.AcknowledgeBody,
        answers.WriteAnswer,
        acknowledge,
        "Say that an event or an incident is in work.",
    ),
    Endpoint(
        "POST",
        "/api/silence",
        requests.SilenceBody,
        answers.WriteAnswer,
        silence,
        "Silence keys and channels until a time.",
    ),
)
