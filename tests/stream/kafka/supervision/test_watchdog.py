"""Who stands still is found, and nobody else."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from stream.kafka.supervision.watchdog import STOOD_STILL, Progress, Watchdog

A, B = ("in", 0), ("in", 1)


async def test_a_loop_that_does_not_turn_ends_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[int] = []
    done = threading.Event()

    def end(code: int) -> None:
        ended.append(code)
        done.set()

    def hang() -> None:
        done.wait(30)

    with Watchdog(0.2, end):
        hang()
    assert ended == [STOOD_STILL]
    assert "stood still" in caplog.text
    assert "wait" in caplog.text  # where it stands


async def test_a_loop_that_turns_is_left_alone() -> None:
    ended: list[int] = []
    with Watchdog(0.4, ended.append):
        for _ in range(20):
            await asyncio.sleep(0.05)
    with Watchdog(0.0, ended.append):
        time.sleep(0.1)  # noqa: ASYNC251  # that is the claim
    assert ended == []


def test_a_partition_that_has_messages_must_move() -> None:
    progress = Progress(40.0)
    for now in range(0, 50, 10):
        found = progress.look(float(now), {A: 7, B: now}, {A: 9, B: 1000})
        assert bool(found) == (now == 40)
    assert "in-0 stands at offset 7" in found


@pytest.mark.parametrize(
    ("positions", "ends"),
    [({A: 9}, {A: 9}), ({A: 7}, {}), ({}, {A: 9})],
    ids=["nothing to read", "the broker does not say", "not ours"],
)
def test_nothing_is_held_against_who_cannot_move(
    positions: dict[tuple[str, int], int], ends: dict[tuple[str, int], int]
) -> None:
    progress = Progress(40.0)
    for now in range(0, 200, 10):
        assert progress.look(float(now), positions, ends) == ""


def test_a_suspended_process_has_not_stood_still() -> None:
    progress = Progress(40.0)
    for now in (0.0, 10.0, 5_000.0):
        assert progress.look(now, {A: 7}, {A: 9}) == ""
