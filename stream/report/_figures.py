"""Table of detection figures, with a definition of each in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._words import esc

_SHOWN_KEYS = 40

FIGURES = {
    "vus_pr": (
        "VUS-PR",
        (
            "Ranking of labelled records above all others by their score, with some tolerance at "
            "the edges of each label. 1 is perfect; the row of random scores shows the value of "
            "chance. It needs no threshold."
        ),
    ),
    "auc_pr": (
        "AUC-PR",
        "The same ranking without tolerance: record by record, exactly as labelled.",
    ),
    "best_f1": (
        "best F1",
        (
            "Balance of precision and recall at the best threshold that could be chosen with "
            "knowledge of the labels: an upper bound, not a promise."
        ),
    ),
    "f1": (
        "F1",
        (
            "The same balance for the records inside episodes, at the threshold that was set "
            "without knowledge of the labels."
        ),
    ),
    "precision": ("precision", "Share of the records inside episodes that are labelled."),
    "recall": ("recall", "Share of the labelled records that lie inside an episode."),
    "events": (
        "caught",
        (
            "Labelled events (unbroken runs of labelled records) with at least one record inside "
            "an episode, and the number of all labelled events."
        ),
    ),
    "false": (
        "false",
        (
            "Episodes without a labelled record, for which somebody is paged in vain, and the "
            "number of all episodes."
        ),
    ),
    "ef1": (
        "EF1",
        (
            "Balance of the share of events caught and the share of true episodes: the figure "
            "closest to an operator's experience."
        ),
    ),
    "false_episodes_per_1000": ("false per 1,000", "False episodes for every 1,000 records."),
    "delay_records": (
        "delay",
        (
            "Records from the start of an event to the first one inside an episode, as the mean "
            "over the events caught."
        ),
    ),
}

BASELINES = {
    "random": "random scores",
    "z_largest": "largest z-score of any channel",
    "z_mean": "mean z-score of all channels",
    "pca": "PCA of windows of 10 records",
    "kmeans": "k-means of windows of 10 records",
}


def figures_section(figures: Mapping[str, Any], baselines: Mapping[str, Any]) -> str:
    """Render the table and its definitions.

    Args:
        figures: Result of `Backtest.figures`; empty: there is no section.
        baselines: Result of `Backtest.baseline_figures`.
    """
    if not figures:
        return ""
    heads = "".join(f'<th scope="col">{esc(head)}</th>' for head, _ in FIGURES.values())
    per_key = figures["per_key"]
    order = sorted(per_key, key=lambda key: per_key[key].get("vus_pr") or -1.0)
    body = "".join(_row(key, per_key[key]) for key in order[:_SHOWN_KEYS])
    omitted = len(order) - _SHOWN_KEYS
    if omitted > 0:
        body += _note(f"{omitted:,} keys with a higher VUS-PR are left out of this table.")
    worst = {name: entry["value"] for name, entry in figures["worst"].items()}
    mean = {**figures["mean"], **_counts(figures["pooled"])}
    summary = _row("mean, counts added up", mean, "mean") + _row("worst", worst, "worst")
    chance = "".join(
        _row(BASELINES.get(name, name), row, "baseline") for name, row in baselines.items()
    )
    if chance:
        chance = _note("For comparison, on the same records, as the mean over all keys:") + chance
    definitions = "".join(
        f"<dt>{esc(head)}</dt><dd>{esc(text)}</dd>" for head, text in FIGURES.values()
    )
    return (
        '<section id="figures"><h2>Detection quality</h2>'
        "<p>Measured by the labels, which neither training nor scoring ever reads. Nothing is "
        "adjusted: a fault counts as caught only if a record inside it is flagged.</p>"
        f'<div class="wide"><table class="figures"><thead><tr><th scope="col">key</th>{heads}</tr>'
        f"</thead><tbody>{body}</tbody><tbody>{summary}</tbody><tbody>{chance}</tbody></table></div>"
        "<details><summary>Definitions of the figures</summary>"
        f'<dl class="definitions">{definitions}</dl></details>'
        "</section>"
    )


def _row(name: str, row: Mapping[str, Any], css: str = "") -> str:
    cells = "".join(f"<td>{_cell(column, row)}</td>" for column in FIGURES)
    return f'<tr class="{css}"><th scope="row">{esc(name)}</th>{cells}</tr>'


def _cell(column: str, row: Mapping[str, Any]) -> str:
    if column in ("events", "false"):
        part, total = ("caught", "events") if column == "events" else ("false_episodes", "episodes")
        return f"{row[part]:,} / {row[total]:,}" if row.get(total) is not None else "–"
    value = row.get(column)
    if value is None:
        return "–"
    return f"{value:.1f}" if column == "delay_records" else f"{value:.2f}"


def _note(text: str) -> str:
    return f'<tr class="note"><td colspan="{len(FIGURES) + 1}">{esc(text)}</td></tr>'


def _counts(pooled: Mapping[str, Any]) -> dict[str, Any]:
    names = ("events", "caught", "episodes", "false_episodes")
    return {name: pooled[name] for name in names if name in pooled}
