"""Recovery begins when nothing of a former writer can be committed any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from stream.kafka import Silent, WorkerConfig
from stream.kafka import _restore as restore
from stream.kafka._thread import LogFacts


class Tp(NamedTuple):
    topic: str
    partition: int


LOG = Tp("g-state-in-changelog", 3)


@pytest.mark.parametrize("writer", ["g-former", "g-state"])
async def test_an_open_transaction_of_a_worker_or_a_state_tool_is_ended(
    writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that was killed is named nowhere; it would have kept workers for a quarter hour."""
    ended: list[str] = []

    async def facts(tps: Any) -> dict[Any, LogFacts]:
        return {tp: LogFacts(0, 9 if writer in ended else 5, 4, "g-former") for tp in tps}

    async def uncommitted_ends(tps: Any) -> dict[Any, int]:
        return dict.fromkeys(tps, 9)

    async def take_over(transactional_id: str) -> None:
        ended.append(transactional_id)

    edge: Any = SimpleNamespace(
        config=WorkerConfig(bootstrap_servers=("b",), topics=("in",), group="g"),
        transactional_id="g-me",
        consumer=SimpleNamespace(
            thread=SimpleNamespace(facts=facts, uncommitted_ends=uncommitted_ends)
        ),
        administration=SimpleNamespace(take_over=take_over),
        source=lambda tp: ("in", tp.partition),
        observer=Silent(),
        clock=iter(range(20)).__next__,  # seconds, at each look
    )
    monkeypatch.setattr(restore, "_SETTLE_POLL_SECONDS", 0.0)
    assert await restore.settled_ends(edge, {LOG}) == {LOG: 9}
    assert ended == ["g-former", "g-state"]  # each once
