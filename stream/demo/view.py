"""The live table: keys in trouble beside healthy ones, and the faults beside what was found."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .evaluation import GRACE_ROWS, Alarm
from .faults import Fault, Kind
from .fleet import START_US
from .link import Heard
from .scenario import Scenario

BARS = "▁▂▃▄▅▆▇█"
BUCKETS, BUCKET_ROWS = 24, 5  # of a sparkline
TOP_SEVERITY = 12.0
MOST_IN_TROUBLE, HEALTHY, MOST_FAULTS = 8, 3, 18  # so that it fits a terminal
_STYLES = {"firing": "bold red", "stale": "bold magenta", "anomalous": "yellow", "ok": "green"}


def sparkline(severities: list[tuple[int, float]], now_us: int, interval_us: int) -> str:
    """Draw the largest severity of each of the last stretches of time.

    Args:
        severities: event times and severities of a key's anomalies.
        now_us: event time at the right end.
        interval_us: event time of a row.
    """
    peaks = [0.0] * BUCKETS
    width = BUCKET_ROWS * interval_us
    for time_us, severity in severities:
        bucket = BUCKETS - 1 - (now_us - time_us) // width
        if 0 <= bucket < BUCKETS:
            peaks[bucket] = max(peaks[bucket], severity)
    top = len(BARS) - 1
    return "".join(BARS[min(round(p / TOP_SEVERITY * top), top)] for p in peaks)


def render(scenario: Scenario, heard: Heard, host: str, headline: str) -> RenderableType:
    """Return the whole picture.

    Args:
        scenario: what is played.
        heard: what the worker has said.
        host: this host's key.
        headline: one line above it all.
    """
    return Group(
        Text(headline, style="bold"), _keys(scenario, heard, host), _faults(scenario, heard)
    )


def _keys(scenario: Scenario, heard: Heard, host: str) -> Table:
    now_us = START_US + scenario.fleet.row * scenario.fleet.interval_us
    recent_us = now_us - BUCKETS * BUCKET_ROWS * scenario.fleet.interval_us
    said = {alarm.key: alarm.why for alarm in heard.alarms}
    weight: dict[str, tuple[bool, float]] = dict.fromkeys(heard.state, (True, 0.0))
    for key, severities in list(heard.severity.items()):
        time_us, severity = severities[-1]
        if time_us >= recent_us:
            weight[key] = (key in heard.state, severity)
    trouble = sorted(weight, key=lambda key: (weight[key], key), reverse=True)[:MOST_IN_TROUBLE]
    healthy = [name for name in (host, *scenario.fleet.names) if name not in weight][:HEALTHY]
    table = Table(expand=True)
    table.add_column("key", no_wrap=True)
    table.add_column("state", width=9)
    table.add_column("severity", width=BUCKETS, no_wrap=True)
    table.add_column("last said to be unusual", ratio=1, no_wrap=True)
    for key in (*trouble, *healthy):
        state = heard.state.get(key, "anomalous" if key in weight else "ok")
        style = _STYLES[state]
        line = sparkline(heard.severity.get(key, []), now_us, scenario.fleet.interval_us)
        why = said.get(key, "") if key in weight else ""
        table.add_row(key, Text(state, style), Text(line, style), why)
    return table


def _faults(scenario: Scenario, heard: Heard) -> Table:
    caught = scenario.evaluate(heard.alarms)
    table = Table(expand=True)
    for name in ("injected", "key", "channel"):
        table.add_column(name, no_wrap=True)
    table.add_column("detected", width=22, no_wrap=True)
    table.add_column("reason", ratio=1, no_wrap=True)
    begun = [
        (fault, alarm)
        for fault, alarm in zip(scenario.faults, caught.caught, strict=True)
        if fault.onset < scenario.fleet.row
    ]
    for fault, alarm in begun[-MOST_FAULTS:]:
        table.add_row(
            fault.kind.value,
            fault.name,
            fault.channel_name or "(all)",
            _found(scenario, fault, alarm),
            alarm.why if alarm is not None else "",
        )
    table.caption = f"{len(caught.false)} false triggers"
    return table


def _found(scenario: Scenario, fault: Fault, alarm: Alarm | None) -> Text:
    """Say whether a fault was caught, and how soon."""
    if alarm is not None:
        rows = (alarm.time_us - START_US) // scenario.fleet.interval_us - fault.onset + 1
        word = "stale" if fault.kind is Kind.SILENT else "caught"
        return Text(f"{word} after {rows} rows", "green")
    if scenario.fleet.row <= fault.end + GRACE_ROWS:
        return Text("…", "dim")
    return Text("missed", "red")
