"""Documents of operators in a worker: noted before they are used, and used again by a replay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stream.control import NO_CONTROL, ControlSet
from stream.engine import Engine
from stream.kafka.protocol.positions import Positions
from stream.kafka.runtime.control import ControlSource, NoControl, PartitionControls
from stream.observer import Observer
from stream.types import TP
from tests.simulation.control import control_set
from tests.simulation.tiny import TinyEngine
from tests.stream.kafka.fakes import make_context

ONE, TWO = ("in", 0), ("in", 1)
FIRST, SECOND, THIRD = (control_set(number, "in") for number in (1, 2, 3))


class Source:
    """Documents as a topic brings them; `known` are the sets that its history has."""

    def __init__(self, *known: ControlSet) -> None:
        self.known = [NO_CONTROL, *known]
        self.unread: list[ControlSet] = []

    @property
    def current(self) -> ControlSet:
        return self.known[-1]

    def find(self, digest: str) -> ControlSet | None:
        return next((each for each in self.known if each.digest == digest), None)

    async def refresh(self) -> None:
        self.known += self.unread


class Watch(Observer):
    def __init__(self) -> None:
        self.used: list[tuple[list[TP], str]] = []

    def control_used(self, tps: Any, control: ControlSet) -> None:
        self.used.append((list(tps), control.digest))


class Rig:
    """A worker with two partitions, and the meta rows that its checkpoints have written."""

    def __init__(self, source: ControlSource, **config: Any) -> None:
        self.engine: Engine = TinyEngine()
        self.positions, self.source = Positions(), source
        self.written: dict[TP, bytes] = {}
        self.reasons: list[str] = []
        self.watch = Watch()
        context = make_context(self.watch, **config)
        context.lifecycle.join("now")
        context.lifecycle.recover("now")
        context.lifecycle.run(2)
        self.lock = asyncio.Lock()
        self.controls = PartitionControls(
            context, self.engine, self.positions, self.lock, self.checkpoint, source
        )

    async def checkpoint(self, reason: str) -> None:
        self.reasons.append(reason)
        await asyncio.sleep(0)
        for tp in self.positions:
            if self.positions.moved(tp):
                self.written[tp] = self.engine.meta(tp).encode()
                self.positions.confirm(tp, self.positions.take(tp))

    def assign(self, tp: TP, position: int, end: int, former: bytes | None = None) -> None:
        """Take a partition over, with the meta row of its former owner."""
        self.engine.attach(tp)
        if former is not None:
            self.engine.load(tp, [b"\x00ember.meta"], [former])
        self.positions.start(tp, position, position)
        self.controls.open(tp, end, fresh=former is None and position == 0)

    def noted(self, tp: TP) -> list[tuple[int, str]]:
        return [(epoch.offset, epoch.digest) for epoch in self.engine.meta(tp).control_epochs]

    def in_force(self, tp: TP) -> ControlSet:
        self.controls.bring_into_force(tp)
        return self.engine.control


async def started(*known: ControlSet, **config: Any) -> Rig:
    rig = Rig(Source(*known), **config)
    rig.assign(ONE, 0, 100)
    await rig.checkpoint("start")
    return rig


async def test_without_a_control_topic_nothing_is_noted() -> None:
    rig = Rig(NoControl())
    rig.assign(ONE, 0, 100)
    assert rig.noted(ONE) == []
    assert not rig.positions.moved(ONE)
    assert b"control" not in rig.engine.meta(ONE).encode()
    assert await rig.controls.take_over() == {}
    assert rig.reasons == []


async def test_a_group_that_begins_uses_the_documents_from_its_first_record_on() -> None:
    rig = await started(FIRST)
    assert rig.noted(ONE) == [(0, FIRST.digest)]
    assert rig.in_force(ONE) == FIRST


async def test_a_group_that_begins_without_documents_says_so() -> None:
    """Else its next owner could not know that the first records were scored without any."""
    rig = await started()
    assert rig.noted(ONE) == [(0, "")]
    assert rig.in_force(ONE) == NO_CONTROL


async def test_a_change_is_written_before_it_is_used() -> None:
    rig = await started(FIRST)
    rig.assign(TWO, 0, 100)
    rig.positions.advance(ONE, 40)
    rig.source.known.append(SECOND)  # type: ignore[attr-defined]
    used: list[ControlSet] = []
    changing = asyncio.ensure_future(rig.controls.take_over())
    while not changing.done():
        used.append(rig.in_force(ONE))
        await asyncio.sleep(0)
    assert set(used[:-1]) == {FIRST}
    assert await changing == {ONE: 40, TWO: 0}
    assert rig.in_force(ONE) == rig.in_force(TWO) == SECOND
    assert rig.noted(ONE) == [(0, FIRST.digest), (40, SECOND.digest)]
    assert rig.reasons == ["start", "control"]
    assert rig.watch.used == [([ONE, TWO], SECOND.digest)]
    assert await rig.controls.take_over() == {}


async def test_a_change_waits_for_the_fetch_in_hand() -> None:
    rig = await started(FIRST)
    rig.source.known.append(SECOND)  # type: ignore[attr-defined]
    async with rig.lock:
        changing = asyncio.ensure_future(rig.controls.take_over())
        await asyncio.sleep(0.01)
        rig.positions.advance(ONE, 7)
        assert rig.in_force(ONE) == FIRST
    assert await changing == {ONE: 7}


async def test_a_death_between_note_and_use_leads_to_the_noted_offset() -> None:
    rig = await started(FIRST)
    rig.positions.advance(ONE, 40)
    rig.engine.schedule_control(ONE, 40, SECOND)
    noted = rig.engine.meta(ONE).encode()
    again = Rig(Source(FIRST, SECOND))
    again.assign(ONE, 40, 60, noted)
    assert again.in_force(ONE) == SECOND
    assert again.noted(ONE) == [(0, FIRST.digest), (40, SECOND.digest)]


async def test_a_note_that_was_never_used_goes_when_the_documents_come_back() -> None:
    rig = await started(FIRST)
    rig.engine.meta(ONE).absorbed = 39
    rig.engine.schedule_control(ONE, 40, SECOND)
    rig.engine.schedule_control(ONE, 40, FIRST)
    assert rig.noted(ONE) == [(0, FIRST.digest)]


async def test_a_replay_uses_the_noted_documents_up_to_the_end_at_the_start() -> None:
    """What a killed worker may have sent is sent again the same; then the topic's set follows."""
    former = await started(FIRST)
    rig = Rig(Source(FIRST, SECOND))
    rig.assign(ONE, 40, 60, former.written[ONE])
    assert rig.in_force(ONE) == FIRST
    assert await rig.controls.take_over() == {}
    for position, due in ((59, False), (63, True)):
        rig.positions.advance(ONE, position)
        rig.controls.on_processed([ONE])
        assert rig.controls._due.is_set() is due
    assert await rig.controls.take_over() == {ONE: 63}
    assert rig.in_force(ONE) == SECOND
    assert rig.noted(ONE) == [(0, FIRST.digest), (63, SECOND.digest)]


async def test_documents_that_come_during_a_replay_wait_for_its_end() -> None:
    """The noted set was the present one at the start, and is not any more."""
    former = await started(FIRST)
    rig = Rig(Source(FIRST))
    rig.assign(ONE, 40, 60, former.written[ONE])
    rig.source.known.append(SECOND)  # type: ignore[attr-defined]
    rig.positions.advance(ONE, 59)
    assert await rig.controls.take_over() == {}
    assert rig.in_force(ONE) == FIRST
    rig.positions.advance(ONE, 60)
    rig.controls.on_processed([ONE])
    assert await rig.controls.take_over() == {ONE: 60}
    rig.controls.on_processed([ONE])


async def test_a_first_owner_that_died_before_it_committed_may_have_sent_events() -> None:
    former = await started()
    rig = Rig(Source(FIRST))
    rig.engine.attach(ONE)
    rig.engine.load(ONE, [b"\x00ember.meta"], [former.written[ONE]])
    rig.positions.start(ONE, 0, -1)
    rig.controls.open(ONE, 60, fresh=True)
    assert rig.in_force(ONE) == NO_CONTROL
    rig.positions.advance(ONE, 60)
    assert await rig.controls.take_over() == {ONE: 60}


async def test_partitions_have_their_own_documents_while_one_is_replayed() -> None:
    former = await started(FIRST)
    rig = Rig(Source(FIRST, SECOND))
    rig.assign(ONE, 40, 60, former.written[ONE])
    rig.assign(TWO, 0, 9)
    assert [rig.in_force(tp) for tp in (ONE, TWO, ONE)] == [FIRST, SECOND, FIRST]
    rig.source.known.append(THIRD)  # type: ignore[attr-defined]
    assert await rig.controls.take_over() == {TWO: 0}
    assert [rig.in_force(tp) for tp in (ONE, TWO)] == [FIRST, THIRD]


@pytest.mark.parametrize(
    ("position", "end", "config"),
    [(40, 60, {"guarantee": "exactly_once"}), (60, 60, {})],
    ids=["events wait for the checkpoint", "nothing is left"],
)
async def test_where_nothing_can_be_sent_again_the_present_documents_come_at_once(
    position: int, end: int, config: dict[str, Any]
) -> None:
    former = await started(FIRST)
    rig = Rig(Source(FIRST, SECOND), **config)
    rig.assign(ONE, position, end, former.written[ONE])
    assert rig.in_force(ONE) == SECOND
    assert rig.noted(ONE)[-1] == (position, SECOND.digest)
    assert rig.positions.moved(ONE)  # the start's checkpoint writes the note


async def test_the_last_offset_may_be_a_marker_that_no_fetch_brings() -> None:
    former = await started(FIRST)
    rig = Rig(Source(FIRST, SECOND))
    rig.assign(ONE, 59, 60, former.written[ONE])
    assert await rig.controls.take_over() == {}
    rig.controls.note_at_end([ONE])
    assert await rig.controls.take_over() == {ONE: 59}


async def test_a_change_that_only_the_former_owner_has_read_is_read_first() -> None:
    former = await started(FIRST, SECOND)
    source = Source(FIRST)
    source.unread = [SECOND, THIRD]
    rig = Rig(source)
    rig.engine.attach(ONE)
    rig.engine.load(ONE, [b"\x00ember.meta"], [former.written[ONE]])
    await rig.controls.prepare([ONE, TWO])
    rig.assign(ONE, 40, 60)
    assert rig.in_force(ONE) == SECOND
    assert source.current == THIRD


async def test_documents_that_nobody_knows_any_more_are_replaced_with_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    former = await started(FIRST)
    rig = Rig(Source(SECOND))
    await rig.controls.prepare([ONE])
    rig.assign(ONE, 40, 60, former.written[ONE])
    assert rig.in_force(ONE) == SECOND
    assert rig.noted(ONE)[-1] == (40, SECOND.digest)
    assert "not in the control topic any more" in caplog.text


async def test_a_group_that_turns_control_off_goes_on_without() -> None:
    former = await started(FIRST)
    rig = Rig(NoControl())
    rig.assign(ONE, 40, 60, former.written[ONE])
    assert rig.in_force(ONE) == NO_CONTROL
    assert rig.noted(ONE)[-1] == (40, "")


async def test_a_partition_that_is_given_back_is_forgotten() -> None:
    rig = await started(FIRST)
    rig.positions.drop(ONE)
    rig.controls.drop(ONE)
    rig.source.known.append(SECOND)  # type: ignore[attr-defined]
    assert await rig.controls.take_over() == {}
    assert rig.in_force(ONE) == NO_CONTROL
