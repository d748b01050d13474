"""Live tables: keys in trouble and some healthy ones, and the faults with their alarms."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .evaluation import GRACE_ROWS, Alarm
from .faults import Fault, Kind
from .fleet import START_US
from .link import Received
from .scenario import Scenario

BARS = "▁▂▃▄▅▆▇█"
BUCKETS, BUCKET_ROWS = 24, 5  # buckets of a sparkline, and rows in each
TOP_SEVERITY = 12.0
MOST_IN_TROUBLE, HEALTHY, MOST_FAULTS = 8, 3, 18  # few enough to fit a terminal
_STYLES = {"firing": "bold red", "stale": "bold magenta", "anomalous": "yellow", "ok": "green"}


def sparkline(severities: list[tuple[int, float]], now_us: int, interval_us: int) -> str:
    """Draw the largest severity of each of the latest buckets of time.

    Args:
        severities: Event times and severities of a key's anomalies.
        now_us: Event time at the right end.
        interval_us: Event time of a row.
    """
    peaks = [0.0] * BUCKETS
    width = BUCKET_ROWS * interval_us
    for time_us, severity in severities:
        bucket = BUCKETS - 1 - (now_us - time_us) // width
        if 0 <= bucket < BUCKETS:
            peaks[bucket] = max(peaks[bucket], severity)
    top = len(BARS) - 1
    return "".join(BARS[min(round(p / TOP_SEVERITY * top), top)] for p in peaks)


def render(scenario: Scenario, received: Received, host: str, headline: str) -> RenderableType:
    """Render both tables.

    Args:
        scenario: Scenario of the run.
        received: Events of the worker.
        host: Key of this host.
        headline: Line above the tables.
    """
    return Group(
        Text(headline, style="bold"), _keys(scenario, received, host), _faults(scenario, received)
    )


def _keys(scenario: Scenario, received: Received, host: str) -> Table:
    now_us = START_US + scenario.fleet.row * scenario.fleet.interval_us
    recent_us = now_us - BUCKETS * BUCKET_ROWS * scenario.fleet.interval_us
    explanations = {alarm.key: alarm.explanation for alarm in received.alarms}
    weight: dict[str, tuple[bool, float]] = dict.fromkeys(received.state, (True, 0.0))
    for key, severities in list(received.severity.items()):
        time_us, severity = severities[-1]
        if time_us >= recent_us:
            weight[key] = (key in received.state, severity)
    trouble = sorted(weight, key=lambda key: (weight[key], key), reverse=True)[:MOST_IN_TROUBLE]
    healthy = [name for name in (host, *scenario.fleet.names) if name not in weight][:HEALTHY]
    table = Table(expand=True)
    table.add_column("key", no_wrap=True)
    table.add_column("state", width=9)
    table.add_column("severity", width=BUCKETS, no_wrap=True)
    table.add_column("top channels of the last alarm", ratio=1, no_wrap=True)
    for key in (*trouble, *healthy):
        state = received.state.get(key, "anomalous" if key in weight else "ok")
        style = _STYLES[state]
        line = sparkline(received.severity.get(key, []), now_us, scenario.fleet.interval_us)
        explanation = explanations.get(key, "") if key in weight else ""
        table.add_row(key, Text(state, style), Text(line, style), explanation)
    return table


def _faults(scenario: Scenario, received: Received) -> Table:
    evaluation = scenario.evaluate(received.alarms)
    table = Table(expand=True)
    for name in ("injected", "key", "channel"):
        table.add_column(name, no_wrap=True)
    table.add_column("detected", width=22, no_wrap=True)
    table.add_column("reason", ratio=1, no_wrap=True)
    started = [
        (fault, alarm)
        for fault, alarm in zip(scenario.faults, evaluation.caught, strict=True)
        if fault.onset < scenario.fleet.row
    ]
    for fault, alarm in started[-MOST_FAULTS:]:
        table.add_row(
            fault.kind.value,
            fault.name,
            fault.channel_name or "(all)",
            _found(scenario, fault, alarm),
            alarm.explanation if alarm is not None else "",
        )
    table.caption = f"{len(evaluation.false)} false triggers"
    return table


def _found(scenario: Scenario, fault: Fault, alarm: Alarm | None) -> Text:
    """Describe if a fault was caught, and how soon."""
    if alarm is not None:
        rows = (alarm.time_us - START_US) // scenario.fleet.interval_us - fault.onset + 1
        word = "stale" if fault.kind is Kind.SILENT else "caught"
        return Text(f"{word} after {rows} rows", "green")
    if scenario.fleet.row <= fault.end + GRACE_ROWS:
        return Text("…", "dim")
    return Text("missed", "red")
