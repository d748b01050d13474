"""Documents of operators that change while a schedule runs, and what a worker knows of them."""

from __future__ import annotations

from stream.control import NO_CONTROL, Calendar, ControlSet, Document, Rule

CALENDARS = (
    Calendar(weekly=("sat 22:00-02:00",), zone="UTC", grace="2s", times=((3, 6), (12, 30))),
    Calendar(
        keys=("*[02468]",), weekly=("sun 22:00-02:00",), zone="UTC", times=((0, 15), (40, 400))
    ),
)
"""Windows in the seconds of a schedule; their sources mean nothing here."""


def control_set(number: int) -> ControlSet:
    """A set of one rule, or of a calendar beside it; 0 stands for none."""
    if not number:
        return NO_CONTROL
    bodies: list[Rule | Calendar] = [Rule(ignore=True)]
    if number > 1:
        bodies.append(CALENDARS[number % 2])
    return ControlSet.of(
        Document(name=f"r{number}", author="operator", time="2026-11-30T12:00:00Z", body=body)
        for body in bodies
    )


class ControlLog:
    """Sets in the order in which they were written; one may come back."""

    def __init__(self) -> None:
        self.sets = [NO_CONTROL]

    def write(self, control: ControlSet) -> None:
        self.sets.append(control)

    def find(self, digest: str) -> ControlSet | None:
        return next((each for each in self.sets if each.digest == digest), None)


class Follower:
    """What one worker has read of them; it may lag behind the others."""

    def __init__(self, log: ControlLog) -> None:
        self._log, self._read = log, len(log.sets)

    @property
    def current(self) -> ControlSet:
        return self._log.sets[self._read - 1]

    def read_all(self) -> None:
        self._read = len(self._log.sets)

    async def refresh(self) -> None:
        self.read_all()

    def find(self, digest: str) -> ControlSet | None:
        known = self._log.sets[: self._read]
        return next((each for each in known if each.digest == digest), None)
