"""Documents of operators that change while a schedule runs, and what a worker knows of them."""

from __future__ import annotations

from stream.control import NO_CONTROL, Calendar, ControlSet, Document, Feedback, Rule

CALENDARS = (
    Calendar(weekly=("sat 22:00-02:00",), zone="UTC", grace="2s", times=((3, 6), (12, 30))),
    Calendar(
        keys=("*[02468]",), weekly=("sun 22:00-02:00",), zone="UTC", times=((0, 15), (40, 400))
    ),
)
"""Windows in the seconds of a schedule; their sources mean nothing here."""


def control_set(number: int, topic: str) -> ControlSet:
    """A rule, a calendar, a false alarm, and keys whose present is usual; 0 stands for none.

    Args:
        number: Number of the set; another one has other times.
        topic: Input topic of the keys.
    """
    if not number:
        return NO_CONTROL
    bodies: dict[str, Rule | Feedback | Calendar] = {f"r{number}": Rule(ignore=True)}
    if number > 1:
        bodies["planned"] = CALENDARS[number % 2]
    time = f"1970-01-01T00:00:{6 * number:02d}Z"
    for key in ("k00", "k01", "k10", "k12"):
        usual = Feedback(event=key, verdict="normal-now", key=key, topic=topic, time=time)
        bodies[f"usual-{key}"] = usual
    bodies["false"] = Feedback(
        event="e", verdict="false-alarm", key="k00", topic=topic, above=("x",), time=time
    )
    return ControlSet.of(
        Document(name=name, author="operator", time="2026-11-30T12:00:00Z", body=body)
        for name, body in bodies.items()
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
