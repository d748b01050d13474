"""A worker that is not, or may not be, a member any more must not write."""

from __future__ import annotations

import pytest

from stream.kafka.protocol.membership import GroupMembership
from stream.kafka.protocol.ports import FencedError, Membership
from tests.stream.kafka.fakes import FakeClock


class Client:
    """What the group's client believes."""

    def __init__(self) -> None:
        self.now = Membership(5, "me", None)
        self.last_heartbeat = 0.0

    def membership(self) -> Membership:
        return self.now


def make(*, fenced: bool = False) -> tuple[GroupMembership, Client, FakeClock]:
    client, clock = Client(), FakeClock()
    view = GroupMembership(client, clock, 12.0, fenced=fenced)
    return view, client, clock


def test_a_member_commits_as_who_it_was_when_it_joined() -> None:
    view, _, _ = make()
    view.on_joined()
    assert view.membership() == Membership(5, "me", None)


def test_without_an_assignment_there_is_nobody_to_commit_as() -> None:
    view, _, _ = make()
    with pytest.raises(FencedError, match="no assignment"):
        view.membership()


@pytest.mark.parametrize("now", [Membership(6, "me"), Membership(5, "other"), Membership(-1, "")])
def test_a_missed_generation_is_fenced(now: Membership) -> None:
    view, client, _ = make(fenced=True)
    view.on_joined()
    client.now = now
    with pytest.raises(FencedError, match="moved on"):
        view.membership()


def test_a_silence_longer_than_the_session_is_fenced_where_the_broker_does_not() -> None:
    view, client, clock = make()
    view.on_joined()
    clock.now = 12.5
    with pytest.raises(FencedError, match=r"not answered for 12\.5 s"):
        view.membership()
    client.last_heartbeat = 3.0
    view.membership()
    fenced_by_the_broker, _, late = make(fenced=True)
    fenced_by_the_broker.on_joined()
    late.now = 1e6
    fenced_by_the_broker.membership()


@pytest.mark.parametrize("answer", ["confirmed", "moved on", "silent"])
async def test_whether_it_still_belongs_is_waited_for(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, client, clock = make(fenced=True)
    view.on_joined()

    async def pass_time(seconds: float) -> None:
        clock.now += seconds
        if clock.now > 3.0 and answer == "confirmed":
            client.last_heartbeat = clock.now
        elif clock.now > 3.0 and answer == "moved on":
            client.now = Membership(6, "me")

    monkeypatch.setattr("asyncio.sleep", pass_time)
    if answer == "confirmed":
        await view.confirmed()
        assert 3.0 < clock.now < 4.0
    else:
        with pytest.raises(FencedError, match="moved on" if answer == "moved on" else "12"):
            await view.confirmed()


def test_a_silence_as_long_as_the_session_is_none_yet() -> None:
    view, _, clock = make()
    view.on_joined()
    clock.now = 12.0
    view.membership()


@pytest.mark.parametrize(("answers_after", "confirmed"), [(12.0, True), (12.25, False)])
async def test_an_answer_is_waited_for_as_long_as_the_session(
    answers_after: float, confirmed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, client, clock = make(fenced=True)
    view.on_joined()
    clock.now = client.last_heartbeat = 1_000.0
    asked = clock.now

    async def pass_time(_: float) -> None:
        clock.now += 0.25
        if clock.now - asked > answers_after:
            client.last_heartbeat = clock.now

    monkeypatch.setattr("asyncio.sleep", pass_time)
    if confirmed:
        await view.confirmed()
    else:
        with pytest.raises(FencedError, match=r"not answered for 12\.2 s"):
            await view.confirmed()


async def test_an_answer_to_somebody_else_confirms_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view, client, clock = make(fenced=True)
    view.on_joined()

    async def pass_time(seconds: float) -> None:
        clock.now += seconds
        client.last_heartbeat, client.now = clock.now, Membership(6, "me")

    monkeypatch.setattr("asyncio.sleep", pass_time)
    with pytest.raises(FencedError, match="moved on"):
        await view.confirmed()
