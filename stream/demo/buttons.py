"""Endpoints of the console's buttons in the demo; they need the extra `console`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stream.console.endpoint import Call, Endpoint
from stream.console.requests import NoQuery

from .faults import Kind
from .orders import FaultAnswer, Orders, RecoveryAnswer


class FaultBody(msgspec.Struct, forbid_unknown_fields=True):
    """Fault to inject."""

    kind: Kind
    key: str = ""
    """Machine; empty: any healthy one."""


class DemoAnswer(msgspec.Struct):
    """Buttons of the demo."""

    kinds: list[str]


def endpoints(
    inject: Callable[[Kind, str], FaultAnswer], kill: Callable[[], RecoveryAnswer], orders: Orders
) -> tuple[Endpoint, ...]:
    """Return the endpoints of the buttons.

    Args:
        inject: Function that injects a fault of a kind into a machine.
        kill: Function that kills the worker, and compares the recovered state.
        orders: Queue of the demo.
    """

    def show(call: Call) -> DemoAnswer:
        return DemoAnswer([kind.value for kind in Kind])

    def inject_fault(call: Call) -> FaultAnswer:
        body: FaultBody = call.query
        answer: FaultAnswer = orders.ask(lambda: inject(body.kind, body.key))
        return answer

    def kill_worker(call: Call) -> RecoveryAnswer:
        answer: RecoveryAnswer = orders.ask(kill)
        return answer

    return (
        Endpoint("GET", "/api/demo", NoQuery, DemoAnswer, show, "Buttons of the demo."),
        Endpoint(
            "POST", "/api/demo/fault", FaultBody, FaultAnswer, inject_fault, "Inject a fault."
        ),
        Endpoint(
            "POST",
            "/api/demo/kill",
            NoQuery,
            RecoveryAnswer,
            kill_worker,
            "Kill the worker, and compare its recovered state.",
        ),
    )
