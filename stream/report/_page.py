"""The whole page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from ember_core.pipeline import FleetModel
from stream.backtest import Backtest

from ._episodes import episode_list
from ._facts import KeyFacts, gather
from ._figures import figures_section
from ._head import head
from ._moments import small_multiples
from ._sweep import slider_section
from ._timeline import Axes, timeline
from ._words import When, esc, plural

OPEN_KEYS = 8  # shown at once; the others unfold
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
    ("l-usual", "usual range in training"),
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
    """Tell a backtest as a page.

    Args:
        result: The backtest.
        model: The model it was made with.
        figures: As `Backtest.figures` gives them; empty or None: the page has no such table.
        baselines: As `Backtest.baseline_figures` gives them.
        sources: What the data were called on the command line.

    Returns:
        HTML that loads nothing. All text of the data is escaped.
    """
    facts, when = gather(result, model), When.of(result)
    order = sorted(facts, key=lambda f: (-bool(f.episodes), -f.top, f.name))
    drawn = [f for f in order if len(f.scores.score)][:DRAWN_KEYS]
    axes = Axes.of(facts, model)
    cards = "".join(
        _card(i, f, timeline(f, axes, when, i), small_multiples(f, result, model, when), when)
        for i, f in enumerate(drawn)
    )
    body = "".join(
        (
            head(result, model, facts, sources, when),
            figures_section(figures or {}, baselines or {}),
            slider_section(facts, drawn, axes, model),
            _keys(order, drawn, cards),
            FOOTER,
        )
    )
    return _document(f"Backtest of {model.name}", body)


def _document(title: str, body: str) -> str:
    css = files(__package__).joinpath("report.css").read_text("utf-8")
    script = files(__package__).joinpath("report.js").read_text("utf-8")
    # The policy lets this one script run and nothing be loaded, whatever the data hold.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{esc(title)}</title><style>{css}</style></head>"
        f"<body>{body}<script>{script}</script></body></html>\n"
    )


def _card(index: int, facts: KeyFacts, drawing: str, channels: str, when: When) -> str:
    """One key: time line, episodes, channels; folded where it is not among the first."""
    said = [
        plural(len(facts.episodes), "episode"),
        plural(len(facts.anomalies), "anomaly", "anomalies"),
    ]
    if facts.label is not None:
        said.append(f"{facts.caught:,} of {plural(len(facts.spans), 'labelled event')} caught")
        said.append(plural(facts.false, "false episode"))
    if facts.silences:
        said.append(plural(len(facts.silences), "silence"))
    if facts.known is None:
        said.append("unknown to the model")
    title = f'<h3>{esc(facts.name)}</h3><span class="said">{", ".join(said)}</span>'
    inner = f'<div class="wide">{drawing}</div>' + episode_list(facts, when) + channels
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
        note = f" Drawn are the {len(drawn):,} liveliest of {plural(len(order), 'key')}."
    return (
        '<section id="keys"><h2>Key by key</h2>'
        f"<p>What fired comes first, then by the highest evidence.{note}</p>"
        f'<ul class="legend">{legend}</ul>{cards}{_list(order, drawn, labelled)}</section>'
    )


def _list(order: list[KeyFacts], drawn: list[KeyFacts], labelled: bool) -> str:
    """All keys in one folded table, those with a drawing as links."""
    place = {f.table: i for i, f in enumerate(drawn)}
    rows = []
    for f in order[:LISTED_KEYS]:
        at = place.get(f.table)
        name = esc(f.name) if at is None else f'<a href="#k{at}">{esc(f.name)}</a>'
        cells = [len(f.scores.score), len(f.anomalies), len(f.episodes)]
        text = "".join(f"<td>{n:,}</td>" for n in cells) + f"<td>{f.top:.2f}</td>"
        if labelled:
            text += f"<td>{f.caught:,} / {len(f.spans):,}</td><td>{f.false:,}</td>"
        rows.append(f'<tr><th scope="row">{name}</th>{text}</tr>')
    left = len(order) - len(rows)
    note = f'<p class="soft">{left:,} quieter keys are left out.</p>' if left else ""
    more = "<th>events caught</th><th>false episodes</th>" if labelled else ""
    heads = ("key", "rows scored", "anomalies", "episodes", "highest evidence")
    head = "".join(f"<th>{text}</th>" for text in heads) + more
    return (
        '<details><summary>All keys in a table</summary><div class="wide">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f"{note}</details>"
    )
