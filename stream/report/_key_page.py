"""Page of one key: every channel with its usual band, score, contributions and reasons.

The page needs no script, loads nothing, and is a pure function of the replay: the same input gives
the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ember_core.pipeline import FleetModel
from stream.backtest import Backtest
from stream.counts import plural
from stream.records import Event, TopChannel
from stream.thresholds import episode_text

from ._channels import channel_drawings
from ._document import document
from ._episodes import channel_bars, episode_list
from ._facts import KeyFacts, gather
from ._reasons import reason_list
from ._shares import share_map
from ._stretch import stretch
from ._timeline import Axes, timeline
from ._words import TimeFormat, esc

if TYPE_CHECKING:
    from ember_core.plots import KeyRows

_LEGEND = (
    ("l-value line", "value"),
    ("l-usual-line line", "usual value"),
    ("l-band", "usual band"),
    ("l-fire", "episode"),
    ("l-evidence line", "evidence"),
    ("l-severity line", "severity of each row"),
    ("l-on line", "threshold"),
    ("l-anomaly line", "anomaly threshold"),
)


@dataclass(frozen=True)
class EventCard:
    """Event that a page explains.

    Attributes:
        id: Its id.
        title: Status and time.
        sentences: Sentences on it.
        channels: Channels by falling share.
        time_us: Event time, marked on every drawing.
    """

    id: str
    title: str
    sentences: Sequence[str]
    channels: Sequence[TopChannel]
    time_us: int


def render_key(
    result: Backtest,
    model: FleetModel,
    rows: KeyRows,
    *,
    begin_us: int,
    end_us: int,
    coverage: float | None = None,
    notes: Sequence[tuple[str, str]] = (),
    event: EventCard | None = None,
    command: str = "ember key --html",
) -> str:
    """Render a key as a page.

    Args:
        result: Replay of the key alone.
        model: Its model.
        rows: Scored rows between `begin_us` and `end_us`.
        begin_us: Earliest event time that is shown.
        end_us: Latest event time that is shown.
        coverage: Share of usual rows inside the band.
        notes: Names and texts of further facts, such as the source of the records.
        event: Event that the page explains.
        command: Command that made the page.

    Returns:
        HTML that loads nothing. All text of the data is escaped.
    """
    all_facts, time_format = gather(result, model)[0], TimeFormat.of(result)
    facts = stretch(all_facts, begin_us, end_us)
    events = [e for e in result.events if begin_us <= e.time_us <= end_us]
    body = _head(facts, rows, events, time_format) + _card(event)
    body += _about(result, model, all_facts, facts, time_format, notes)
    if len(facts.scores.score):
        body += _drawings(facts, rows, model, time_format, coverage, event)
        marked = () if event is None else (event.id,)
        reasons = reason_list(events, time_format, marked)
        body += (
            '<section id="episodes"><h2>Episodes and reasons</h2>'
            f"{episode_list(facts, time_format)}{reasons}</section>"
        )
    footer = (
        f"<footer>Made by <code>{esc(command)}</code>: the records of the key, replayed by the "
        "engine of the service. Silences, which the records of other keys tell, are not on it. "
        "Severity is -log10 of the probability of a row for its key: 3 is one row in 1,000."
        "</footer>"
    )
    return document(f"{facts.name}: values, bands and reasons", body + footer)


def _head(facts: KeyFacts, rows: KeyRows, events: Sequence[Event], time_format: TimeFormat) -> str:
    count = len(facts.scores.score)
    tiles = (
        (f"{count:,}", "rows scored", ""),
        (f"{len(rows.channels):,}", "channels", ""),
        (f"{len(facts.episodes):,}", "episodes", "hot"),
        (f"{len(facts.anomalies):,}", "anomalies", ""),
        (f"{facts.top:.1f}", "highest evidence", ""),
    )
    tile_list = "".join(
        f'<div class="tile {css}"><b>{value}</b><span>{text}</span></div>'
        for value, text, css in tiles
    )
    return (
        f'<h1>{esc(facts.name)}</h1><p class="lead">{esc(_lead(facts, time_format))}</p>'
        f'<div class="tiles">{tile_list}</div>'
    )


def _lead(facts: KeyFacts, time_format: TimeFormat) -> str:
    time = facts.scores.time_us
    if not len(time):
        return "No row of the key was scored in this time."
    span = f"{time_format.moment(int(time[0]))} to {time_format.moment(int(time[-1]))}"
    if facts.episodes and facts.episodes[-1].end_us is None:
        begin = time_format.moment(facts.episodes[-1].start_us)
        return f"{span}. It fires since {begin}."
    return f"{span}. {plural(len(facts.episodes), 'episode')}; it does not fire at the end."


def _card(event: EventCard | None) -> str:
    """Render the event that the page explains."""
    if event is None:
        return ""
    sentences = "".join(f"<p>{esc(sentence)}</p>" for sentence in event.sentences if sentence)
    bars = channel_bars(tuple(event.channels)) if event.channels else ""
    return (
        f'<article class="key" id="event"><header><h3>{esc(event.title)}</h3>'
        f'<span class="counts"><code>{esc(event.id)}</code></span></header>{sentences}{bars}'
        "</article>"
    )


def _about(
    result: Backtest,
    model: FleetModel,
    all_facts: KeyFacts,
    facts: KeyFacts,
    time_format: TimeFormat,
    notes: Sequence[tuple[str, str]],
) -> str:
    refused = {name: n for name, n in result.counts.items() if name != "scored"}
    counts = ", ".join(f"{n:,} {name}" for name, n in sorted(refused.items()))
    replayed = f"{plural(sum(result.counts.values()), 'record')}"
    if len(all_facts.scores.score) > len(facts.scores.score):
        earliest = time_format.moment(int(all_facts.scores.time_us[0]))
        replayed += f", scored from {earliest}: averages settle before the time shown"
    table = [
        ("Model", f"{model.name}, version {model.version}, {model.sha256[:12] or 'not saved'}"),
        ("Known to it", "yes" if facts.known is not None else "no: a key never seen in training"),
        ("Replayed", replayed + (f"; {counts}" if counts else "")),
        ("Episode", episode_text(model)),
        *notes,
    ]
    lines = "".join(
        f'<tr><th scope="row">{esc(name)}</th><td class="text">{esc(text)}</td></tr>'
        for name, text in table
        if text
    )
    return (
        '<details id="about"><summary>Model, records and documents</summary>'
        f'<table class="facts"><tbody>{lines}</tbody></table></details>'
    )


def _drawings(
    facts: KeyFacts,
    rows: KeyRows,
    model: FleetModel,
    time_format: TimeFormat,
    coverage: float | None,
    event: EventCard | None,
) -> str:
    marks = () if event is None else (event.time_us,)
    band = "" if coverage is None else f" The band holds {100 * coverage:g} % of usual rows."
    legend = "".join(f'<li><i class="{css}"></i>{text}</li>' for css, text in _LEGEND)
    axes = Axes.of([facts], model)
    return (
        f'<ul class="legend">{legend}</ul>'
        '<section id="score"><h2>Score</h2>'
        f'<div class="wide">{timeline(facts, axes, time_format, 0, rows.threshold, marks)}</div>'
        "</section>"
        '<section id="shares"><h2>Severity by channel</h2>'
        f'<div class="wide">{share_map(facts, rows)}</div></section>'
        f'<section id="channels"><h2>Channels</h2><p class="soft">Those with the largest part in '
        f"the severity come first.{band}</p>"
        f"{channel_drawings(facts, rows, time_format, marks)}</section>"
    )
