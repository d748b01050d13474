"""Documents that are about a key."""

from __future__ import annotations

from stream.control import (
    Acknowledgement,
    Calendar,
    ControlSet,
    Document,
    Feedback,
    Rule,
    Silence,
    Window,
    documents_for_key,
)

TIME = "2026-12-01T06:00:00Z"
WINDOW = (Window(TIME, "2026-12-01T07:00:00Z"),)


def _control(**bodies) -> ControlSet:
    return ControlSet.of(
        Document(name=name.replace("_", "-"), author="a", time=TIME, body=body)
        for name, body in bodies.items()
    )


def test_each_kind_is_chosen_by_its_own_words() -> None:
    event, other = "a" * 32, "b" * 32
    control = _control(
        all_keys=Rule(ignore=True),
        web=Rule(keys=("web-*",), ignore=True),
        db=Rule(keys=("db-*",), ignore=True),
        elsewhere=Rule(topics=("logs",), ignore=True),
        backup=Calendar(keys=("web-1",), windows=WINDOW),
        backup_db=Calendar(keys=("db-1",), windows=WINDOW),
        move=Silence(until=TIME),
        move_db=Silence(until=TIME, keys=("db-?",)),
        false_alarm=Feedback(event=other, verdict="false_alarm", key="web-1", topic="telemetry"),
        same_key_elsewhere=Feedback(event=other, verdict="real", key="web-1", topic="logs"),
        known=Acknowledgement(event=event),
        unknown=Acknowledgement(event=other),
    )
    names = {d.name for d in documents_for_key(control, "telemetry", "web-1", {event})}
    assert names == {"all-keys", "web", "backup", "move", "false-alarm", "known"}
    anywhere = {d.name for d in documents_for_key(control, None, "web-1", {event})}
    assert anywhere - names == {"elsewhere", "same-key-elsewhere"}
    assert names <= anywhere
