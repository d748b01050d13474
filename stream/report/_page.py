"""Assembly of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from ember_core.pipeline import FleetModel
from stream.backtest import Backtest
from stream.counts import plural

from ._document import document
from ._episodes import episode_list
from ._facts import KeyFacts, gather
from ._figures import figures_section
from ._head import head
from ._moments import small_multiples
from ._sweep import slider_section
from ._timeline import Axes, timeline
from ._words import TimeFormat, esc

OPEN_KEYS = 8  # shown open; the others are folded
DRAWN_KEYS = 24
LISTED_KEYS = 400

LEGEND = (
    ("l-evidence line", "evidence"),
    ("l-severity line", "severity of each row"),
    ("l-on line", "on-threshold"),
    ("l-anomaly line", "anomaly threshold"),
    ("l-fire", "episode"),
    ("l-event", "labelled event, caught"),
    ("l-missed", "missed"),
    ("l-false", "false episode"),
    ("l-band", "usual band"),
    ("l-expected", "expected by the model"),
)
FOOTER = (
    "<footer>Made by <code>ember backtest --report</code>. Severity is -log10 of the probability "
    "of a row for its key: 3 is one row in 1,000.</footer>"
)
_LABELLED = ("labelled event, caught", "missed", "false episode")


def render(
    result: Backtest,
    model: FleetModel,
    *,
    figures: Mapping[str, Any] | None = None,
    baselines: Mapping[str, Any] | None = None,
    sources: Sequence[str] = (),
) -> str:
    """Render a backtest as a page.

    Args:
        result: The backtest.
        model: The model of the backtest.
        figures: Result of `Backtest.figures`; empty or None: the page has no such table.
        baselines: Result of `Backtest.baseline_figures`.
        sources: Names of the data on the command line.

    Returns:
        HTML that loads nothing. All text of the data is escaped.
    """
    facts, time_format = gather(result, model), TimeFormat.of(result)
    # The name decides last, so that equal input gives equal bytes.
    order = sorted(facts, key=lambda f: (-bool(f.episodes), -f.top, f.name))
    drawn = [f for f in order if len(f.scores.score)][:DRAWN_KEYS]
    axes = Axes.of(facts, model)
    cards = "".join(
        _card(
            i,
            f,
            timeline(f, axes, time_format, i),
            small_multiples(f, result, model, time_format),
            time_format,
        )
        for i, f in enumerate(drawn)
    )
    body = "".join(
        (
            head(result, model, facts, sources, time_format),
            figures_section(figures or {}, baselines or {}),
            slider_section(facts, drawn, axes, model),
            _keys(order, drawn, cards),
            FOOTER,
        )
    )
    script = files(__package__).joinpath("report.js").read_text("utf-8")
    return document(f"Backtest of {model.name}", body, script)


def _card(index: int, facts: KeyFacts, drawing: str, channels: str, time_format: TimeFormat) -> str:
    """Render one key: time line, episodes, channels; folded unless it is among the first."""
    counts = [
        plural(len(facts.episodes), "episode"),
        plural(len(facts.anomalies), "anomaly", "anomalies"),
    ]
    if facts.label is not None:
        counts.append(f"{facts.caught:,} of {plural(len(facts.spans), 'labelled event')} caught")
        counts.append(plural(facts.false, "false episode"))
    if facts.silences:
        counts.append(plural(len(facts.silences), "silence"))
    if facts.known is None:
        counts.append("unknown to the model")
    title = f'<h3>{esc(facts.name)}</h3><span class="counts">{", ".join(counts)}</span>'
    inner = f'<div class="wide">{drawing}</div>' + episode_list(facts, time_format) + channels
    if index < OPEN_KEYS:
        return f'<article class="key" id="k{index}"><header>{title}</header>{inner}</article>'
    summary = f"<summary><span>{title}</span></summary>"
    return f'<details class="key" id="k{index}">{summary}{inner}</details>'


def _keys(order: list[KeyFacts], drawn: list[KeyFacts], cards: str) -> str:
    labelled = any(f.label is not None for f in order)
    legend = "".join(
        f'<li><i class="{css}"></i>{text}</li>'
        for css, text in LEGEND
        if labelled or text not in _LABELLED
    )
    note = ""
    if len(drawn) < len(order):
        note = f" The first {len(drawn):,} of {plural(len(order), 'key')} are drawn."
    return (
        '<section id="keys"><h2>Key by key</h2>'
        f"<p>Keys that fired come first, then those with the highest evidence.{note}</p>"
        f'<ul class="legend">{legend}</ul>{cards}{_list(order, drawn, labelled)}</section>'
    )


def _list(order: list[KeyFacts], drawn: list[KeyFacts], labelled: bool) -> str:
    """Render all keys in one folded table; those with a drawing are links."""
    index_of = {f.table: i for i, f in enumerate(drawn)}
    rows = []
    for f in order[:LISTED_KEYS]:
        index = index_of.get(f.table)
        name = esc(f.name) if index is None else f'<a href="#k{index}">{esc(f.name)}</a>'
        cells = [len(f.scores.score), len(f.anomalies), len(f.episodes)]
        text = "".join(f"<td>{n:,}</td>" for n in cells) + f"<td>{f.top:.2f}</td>"
        if labelled:
            text += f"<td>{f.caught:,} / {len(f.spans):,}</td><td>{f.false:,}</td>"
        rows.append(f'<tr><th scope="row">{name}</th>{text}</tr>')
    unlisted = len(order) - len(rows)
    note = (
        f'<p class="soft">{unlisted:,} keys with less evidence are left out.</p>'
        if unlisted
        else ""
    )
    label_heads = "<th>events caught</th><th>false episodes</th>" if labelled else ""
    heads = ("key", "rows scored", "anomalies", "episodes", "highest evidence")
    head = "".join(f"<th>{text}</th>" for text in heads) + label_heads
    return (
        '<details><summary>All keys in a table</summary><div class="wide">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f"{note}</details>"
    )
