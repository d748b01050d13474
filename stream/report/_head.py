"""Head of the page: a summary, a few numbers, and the outcomes of the records."""

from __future__ import annotations

from collections.abc import Sequence

from ember_core.pipeline import FleetModel
from stream.backtest import Backtest
from stream.counts import plural
from stream.records import Reason
from stream.thresholds import episode_text

from ._facts import KeyFacts
from ._words import TimeFormat, esc

OUTCOMES = {
    "scored": "scored by the model",
    "warming": "absorbed while the key, unknown to the model, warms up; not scored",
    "windowed": "absorbed into an interval that was still open at the end",
    "late": "not newer than the key's last record: counted, not absorbed",
    "repeated": "absorbed before",
    "absent": "no message at this offset",
    Reason.NO_CHANNELS: "refused: none of the model's channels had a value",
    Reason.OUT_OF_RANGE: "refused: a value beyond the accepted range",
    Reason.KEY_LIMIT: "refused: more keys than state.max_keys allows",
    Reason.WRONG_PARTITION: "refused: the key's state is in another partition",
}


def head(
    result: Backtest,
    model: FleetModel,
    facts: list[KeyFacts],
    sources: Sequence[str],
    time_format: TimeFormat,
) -> str:
    """Render title, summary, tiles, and two tables."""
    title = f"Backtest of {esc(model.name)}"
    return (
        f'<h1>{title}</h1><p class="lead">{esc(_lead(result, facts))}</p>'
        f'<div class="tiles">{_tiles(result, facts)}</div>'
        '<section id="about"><h2>Model, data and records</h2><div class="about"><div>'
        '<table class="facts"><tbody>'
        f"{_about(result, model, facts, sources, time_format)}</tbody></table>"
        '</div><div><table class="outcomes"><thead><tr><th colspan="3">Records by outcome</th>'
        f"</tr></thead><tbody>{_outcomes(result)}</tbody></table></div></div></section>"
    )


def _lead(result: Backtest, facts: list[KeyFacts]) -> str:
    """Summarise the result in a sentence."""
    fired = sum(f.fired for f in facts)
    records = plural(sum(result.counts.values()), "record")
    alive = sum(bool(f.episodes) for f in facts)
    text = f"{plural(fired, 'episode')} on {alive:,} of {plural(len(facts), 'key')} in {records}"
    labelled = [f for f in facts if f.label is not None]
    if labelled:
        events = sum(len(f.spans) for f in labelled)
        text += (
            f"; {sum(f.caught for f in labelled):,} of {plural(events, 'labelled event')} caught, "
            f"{plural(sum(f.false for f in labelled), 'false episode')}"
        )
    return text + "."


def _tiles(result: Backtest, facts: list[KeyFacts]) -> str:
    labelled = [f for f in facts if f.label is not None]
    tiles = [
        (f"{sum(result.counts.values()):,}", "records", ""),
        (f"{len(facts):,}", "keys", ""),
        (f"{sum(len(f.anomalies) for f in facts):,}", "anomalies", ""),
        (f"{sum(f.fired for f in facts):,}", "episodes", "hot"),
    ]
    if labelled:
        events = sum(len(f.spans) for f in labelled)
        tiles += [
            (f"{sum(f.caught for f in labelled):,} / {events:,}", "labelled events caught", ""),
            (f"{sum(f.false for f in labelled):,}", "false episodes", ""),
        ]
    silences = sum(len(f.silences) for f in facts)
    if silences:
        tiles.append((f"{silences:,}", "silence" if silences == 1 else "silences", ""))
    return "".join(
        f'<div class="tile {css}"><b>{value}</b><span>{text}</span></div>'
        for value, text, css in tiles
    )


def _about(
    result: Backtest,
    model: FleetModel,
    facts: list[KeyFacts],
    sources: Sequence[str],
    time_format: TimeFormat,
) -> str:
    config = model.pipeline.config
    known_keys = sum(f.known is not None for f in facts)
    window = "each record is a row"
    if result.window.mode == "time":
        window = f"a row per {time_format.length(result.window.interval_us)} of event time"
    rows = [
        ("Model", f"{esc(model.name)}, version {esc(model.version)}"),
        ("SHA-256", f"<code>{esc(model.sha256 or 'not saved')}</code>"),
        ("Data", ", ".join(f"<code>{esc(s)}</code>" for s in sources)),
        ("Time", esc(_span(facts, time_format))),
        ("Channels", f"{len(model.channels):,}"),
        ("Keys", f"{len(facts):,}, {known_keys:,} of them known from training"),
        ("Rows", esc(window)),
        ("Anomaly", f"a row from severity {config.anomaly_severity:g}"),
        ("Episode", episode_text(model)),
    ]
    return "".join(
        f'<tr><th scope="row">{name}</th><td class="text">{text}</td></tr>'
        for name, text in rows
        if text
    )


def _span(facts: list[KeyFacts], time_format: TimeFormat) -> str:
    times = [f.scores.time_us for f in facts if len(f.scores.time_us)]
    if not times:
        return "nothing was scored"
    first, last = min(int(t[0]) for t in times), max(int(t[-1]) for t in times)
    length = time_format.length(last - first)
    return f"{time_format.moment(first)} to {time_format.moment(last)} ({length})"


def _outcomes(result: Backtest) -> str:
    rows = []
    for name, n in sorted(result.counts.items(), key=lambda item: -item[1]):
        text = OUTCOMES.get(name, "refused")
        explanation = f'<td class="text soft">{text}</td>'
        rows.append(f'<tr><th scope="row">{esc(name)}</th><td>{n:,}</td>{explanation}</tr>')
    return "".join(rows)
