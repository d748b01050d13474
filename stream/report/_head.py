"""The head of the page: one sentence, a few numbers, and what became of the records."""

from __future__ import annotations

from collections.abc import Sequence

from ember_core.pipeline import FleetModel
from stream.backtest import Backtest
from stream.records import Reason

from ._facts import KeyFacts
from ._words import When, esc, plural

OUTCOMES = {
    "scored": "scored, judged by the model",
    "warming": "taken in while their key, unknown to the model, still warms up; not judged",
    "windowed": "taken into an interval that was still open at the end",
    "late": "not newer than the key's last record: counted, never applied",
    "repeated": "absorbed already",
    "absent": "no message at that offset",
    Reason.NO_CHANNELS: "refused: none of the model's channels had a value",
    Reason.OUT_OF_RANGE: "refused: a value beyond any physical range",
    Reason.KEY_LIMIT: "refused: more keys than state.max_keys allows",
    Reason.WRONG_PARTITION: "refused: the key's state is in another partition",
}


def head(
    result: Backtest, model: FleetModel, facts: list[KeyFacts], sources: Sequence[str], when: When
) -> str:
    """Title, lead, tiles, and two tables."""
    title = f"Backtest of {esc(model.name)}"
    return (
        f'<h1>{title}</h1><p class="lead">{esc(_lead(result, facts))}</p>'
        f'<div class="tiles">{_tiles(result, facts)}</div>'
        '<section id="about"><h2>Model, data and records</h2><div class="about"><div>'
        f'<table class="facts"><tbody>{_about(result, model, facts, sources, when)}</tbody></table>'
        '</div><div><table class="outcomes"><thead><tr><th colspan="3">What became of the '
        f"records</th></tr></thead><tbody>{_outcomes(result)}</tbody></table></div></div></section>"
    )


def _lead(result: Backtest, facts: list[KeyFacts]) -> str:
    """The result in one breath."""
    fired = sum(f.fired for f in facts)
    records = plural(sum(result.counts.values()), "record")
    alive = sum(bool(f.episodes) for f in facts)
    text = f"{plural(fired, 'episode')} on {alive:,} of {plural(len(facts), 'key')} in {records}"
    judged = [f for f in facts if f.label is not None]
    if judged:
        events = sum(len(f.spans) for f in judged)
        text += (
            f"; {sum(f.caught for f in judged):,} of {plural(events, 'labelled event')} caught, "
            f"{plural(sum(f.false for f in judged), 'false episode')}"
        )
    return text + "."


def _tiles(result: Backtest, facts: list[KeyFacts]) -> str:
    judged = [f for f in facts if f.label is not None]
    tiles = [
        (f"{sum(result.counts.values()):,}", "records", ""),
        (f"{len(facts):,}", "keys", ""),
        (f"{sum(len(f.anomalies) for f in facts):,}", "anomalies", ""),
        (f"{sum(f.fired for f in facts):,}", "episodes", "hot"),
    ]
    if judged:
        events = sum(len(f.spans) for f in judged)
        tiles += [
            (f"{sum(f.caught for f in judged):,} / {events:,}", "labelled events caught", ""),
            (f"{sum(f.false for f in judged):,}", "false episodes", ""),
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
    when: When,
) -> str:
    motor, config = model.pipeline.motor, model.pipeline.config
    known = sum(f.known is not None for f in facts)
    window = "each record is a row"
    if result.window.mode == "time":
        window = f"a row per {when.length(result.window.interval_us)} of event time"
    rows = [
        ("Model", f"{esc(model.name)}, version {esc(model.version)}"),
        ("SHA-256", f"<code>{esc(model.sha256 or 'not saved')}</code>"),
        ("Data", ", ".join(f"<code>{esc(s)}</code>" for s in sources)),
        ("Time", esc(_span(facts, when))),
        ("Channels", f"{len(model.channels):,}"),
        ("Keys", f"{len(facts):,}, of which {known:,} known from training"),
        ("Rows", esc(window)),
        ("Anomaly", f"a row from severity {config.anomaly_severity:g}"),
        ("Episode", f"fires at evidence {motor.on:.2f}, resolves below {motor.off:.2f}"),
        (
            "Evidence",
            (
                f"leaky mean of severity over {motor.time_constant_rows:g} rows; after an episode "
                f"{motor.refractory_rows} rows of rest"
            ),
        ),
    ]
    return "".join(
        f'<tr><th scope="row">{name}</th><td class="text">{text}</td></tr>'
        for name, text in rows
        if text
    )


def _span(facts: list[KeyFacts], when: When) -> str:
    times = [f.scores.time_us for f in facts if len(f.scores.time_us)]
    if not times:
        return "nothing was scored"
    first, last = min(int(t[0]) for t in times), max(int(t[-1]) for t in times)
    return f"{when.moment(first)} to {when.moment(last)} ({when.length(last - first)})"


def _outcomes(result: Backtest) -> str:
    rows = []
    for name, n in sorted(result.counts.items(), key=lambda item: -item[1]):
        text = OUTCOMES.get(name, "refused")
        said = f'<td class="text soft">{text}</td>'
        rows.append(f'<tr><th scope="row">{esc(name)}</th><td>{n:,}</td>{said}</tr>')
    return "".join(rows)
