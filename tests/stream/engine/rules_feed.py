"""Rules as documents, and runs of an engine under them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ember_core.pipeline import FleetModel
from stream.control import ControlSet, Document
from stream.control.rules import Rule
from stream.engine import Engine, Limits
from tests.stream.engine.conftest import Run, Sent, feed_into

LIMITS = Limits(max_keys=64)


def control_of(*rules: Rule, **named: Rule) -> ControlSet:
    """Documents of rules, named by their number or by name."""
    by_name = {str(i): rule for i, rule in enumerate(rules)} | named
    return ControlSet.of(
        Document(name=name, author="me", time="2026-01-01T00:00:00Z", body=rule)
        for name, rule in by_name.items()
    )


def run_by(
    model: FleetModel,
    feed: Sequence[Sent],
    control: ControlSet,
    cuts: Iterable[int] | None = None,
    limits: Limits = LIMITS,
) -> Run:
    """A fresh engine over a whole feed, by documents of operators."""
    return feed_into(Run(Engine(model, None, limits, control=control)), feed, cuts)


def firing(run: Run, key: bytes | None = None, name: str = "EmberFiring") -> list[dict]:
    """Bodies of the triggers that fire."""
    return [body for body in run.triggers(key, name) if body["status"] != "resolved"]
