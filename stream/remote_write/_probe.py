"""Question to the store whether it takes samples, and those of the time before an alert."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from stream.bridge import NotAcceptedError, UnavailableError
from stream.settings import Settings

from ._protocol import encode_sample
from ._refusals import advice
from ._sender import endpoint_of

_SERIES: Final = "ember_doctor"
"""Series of the question: 1 at the time of it, and at `before_seconds` earlier."""


class Probe(NamedTuple):
    """Answer of the store.

    Attributes:
        outcome: `accepted`; `unreachable` without an answer of a store that takes the login;
            `refused` a sample of now; `out_of_order` one of the time before an alert.
        error: Cause, with what to do where it is known; empty where all was accepted.
    """

    outcome: Literal["accepted", "unreachable", "refused", "out_of_order"]
    error: str = ""


def probe(settings: Settings, now_us: int) -> Probe:
    """Write a sample of now, and then one of the time before it.

    Args:
        settings: Settings of the service.
        now_us: Wall clock, microseconds since the epoch.

    Raises:
        UserError: If the authorities cannot be read.
        MissingPackageError: If a package of the extra is not installed.
    """
    section = settings.remote_write
    endpoint = endpoint_of(section)
    labels = {**section.labels, "__name__": _SERIES, "group": settings.kafka.group}
    outcome: Literal["refused", "out_of_order"] = "refused"
    try:
        endpoint.send(encode_sample(labels, now_us, 1.0))
        if section.before_seconds:
            outcome = "out_of_order"
            before_us = now_us - round(1e6 * section.before_seconds)
            endpoint.send(encode_sample(labels, before_us, 1.0))
    except NotAcceptedError as error:
        return Probe(outcome, advice(str(error), section) or f"{error}.")
    except UnavailableError as error:
        return Probe("unreachable", advice(str(error), section) or f"{error}.")
    return Probe("accepted")
