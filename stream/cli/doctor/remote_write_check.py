"""Check of `ember doctor` on the store that `ember remote-write` sends to."""

from __future__ import annotations

import time
from collections.abc import Iterator

from stream.errors import UserError
from stream.settings import Settings

from .findings import Check


def remote_write(settings: Settings) -> Iterator[Check]:
    """Check that the store takes samples of now, and of the time before an alert.

    Nothing is asked where no setting of the section is given. The store gets two samples.

    Args:
        settings: Settings of the service.
    """
    section = settings.remote_write
    if not section.model_fields_set:
        return
    name = f"remote-write {section.url}"
    if not settings.output.scored_keys:
        yield Check(
            name,
            "warn",
            "Nothing to write: the workers write no scores.",
            'Set output.scores = "all", or patterns of keys, and restart the workers.',
        )
        return
    try:
        from stream.remote_write import probe

        answer = probe(settings, time.time_ns() // 1_000)
    except (ImportError, UserError) as error:
        yield Check(name, "skip", f"Not asked: {error}")
        return
    if answer.outcome == "accepted":
        before = section.before_seconds
        past = f", also those of {before:g} s before" if before else ""
        yield Check(name, "ok", f"It takes samples of now{past}.")
        return
    sentence = {
        "unreachable": "It cannot be written to.",
        "refused": "It refuses a sample of now.",
        "out_of_order": "It takes samples of now, and refuses those of the time before an alert.",
    }[answer.outcome]
    is_reached = answer.outcome != "unreachable"
    fix = "" if is_reached else "Check remote_write.url and its login, and that the store runs."
    # The service itself runs without the store.
    yield Check(name, "warn", f"{sentence} {answer.error}", fix)
