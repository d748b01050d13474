"""Endpoints of what-if questions: a change of budget, rules or evidence, tried on the topic."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from stream.control import ControlError, ControlSet, Document, Rule
from stream.control.choices import with_choices
from stream.errors import UserError
from stream.keys import key_of
from stream.settings import AlertsSection, Settings

from . import answers, requests, views
from .endpoint import Call, Endpoint
from .guard import RefusedError
from .replay import WhatIfTask
from .views import NotKnownError

_UNWRITTEN: Final = "1970-01-01T00:00:00Z"
_HOUR_MS: Final = 3_600_000


def what_if(call: Call) -> answers.WhatIfAnswer:
    """Replay keys as they are and with a change."""
    query: requests.WhatIfBody = call.query
    console = call.console
    if console.replayer is None:
        raise UserError("This console has no input topic to replay.")
    with console.store.locked() as store:
        control = store.documents.control
    keys = _keys(call, query)
    if query.budget is None and query.evidence is None and not query.rules and not query.without:
        raise RefusedError(
            "There is nothing to try. Expected a budget, evidence, a rule, or documents to do "
            "without. Received: none of them. Choose a change.",
            400,
        )
    task = WhatIfTask(
        settings=console.settings,
        changed=_changed(console.settings, query),
        keys=keys,
        since_ms=console.now_us() // 1000 - round(query.hours * _HOUR_MS),
        control=control,
        changed_control=_with_rules(control, query),
    )
    plain = console.replayer.run(task)
    return msgspec.convert(plain, answers.WhatIfAnswer)


def cancel(call: Call) -> answers.CancelAnswer:
    """Cancel the replay that runs."""
    replayer = call.console.replayer
    return answers.CancelAnswer(cancelled=replayer is not None and replayer.cancel())


def _keys(call: Call, query: requests.WhatIfBody) -> tuple[bytes, ...]:
    """Return the keys to replay: those named, or a sample of those that a pattern fits."""
    if query.keys:
        return tuple(dict.fromkeys(key_of(key) for key in query.keys))
    with call.console.store.locked() as store:
        numbers = views.chosen_keys(store, query.pattern, "", None)
        keys = [store.table.keys[number] for number in numbers.tolist()]
    if not keys:
        raise NotKnownError(
            f"No key fits the pattern. Received: {query.pattern!r}. Ask /api/keys for those there "
            "are."
        )
    # By their hashes: the same keys each time, whatever they are called.
    keys.sort(key=lambda key: hashlib.blake2b(key, digest_size=8).digest())
    return tuple(keys[: query.sample])


def _changed(settings: Settings, query: requests.WhatIfBody) -> Settings:
    changes: dict[str, Any] = {}
    if query.budget is not None:
        changes["budget"] = query.budget
    if query.evidence is not None:
        changes["evidence_rows"] = query.evidence
    if not changes:
        return settings
    plain = settings.alerts.model_dump(exclude_unset=True) | changes
    try:
        alerts = AlertsSection.model_validate(plain)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise RefusedError(
            f"The change cannot be used. Expected values of [alerts]. Received: {changes} "
            f"({reason}).",
            400,
        ) from None
    return settings.model_copy(update={"alerts": alerts})


def _with_rules(control: ControlSet, query: requests.WhatIfBody) -> ControlSet:
    """Return the documents in force with the rules of the question, which replace their like."""
    for key in query.without:
        control = control.replace(key, None)
    for number, plain in enumerate(query.rules):
        fields = dict(plain)
        name = fields.pop("name", None) or f"what-if-{number + 1}"
        try:
            body = msgspec.convert({**fields, "kind": "rule"}, Rule)
            document = msgspec.convert(
                {"name": name, "author": "console", "time": _UNWRITTEN, "body": _plain(body)},
                Document,
            ).checked()
        except msgspec.ValidationError as error:
            raise RefusedError(
                f"A rule cannot be used. Expected the fields of [[rule]]. Received: "
                f"{with_choices(error, Rule)}.",
                400,
            ) from None
        except ControlError as error:
            raise RefusedError(error.message, 400) from None
        control = control.replace(document.key, document)
    return control


def _plain(rule: Rule) -> Any:
    return msgspec.to_builtins(rule)


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/what-if",
        requests.WhatIfBody,
        answers.WhatIfAnswer,
        what_if,
        "Replay keys as they are and with a change of budget, rules or evidence.",
        changes=False,
    ),
    Endpoint(
        "DELETE",
        "/api/what-if",
        requests.NoQuery,
        answers.CancelAnswer,
        cancel,
        "Cancel the replay that runs.",
        changes=False,
    ),
)
