"""The table of detection figures, and what each of them means in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._words import esc

_SHOWN_KEYS = 40

FIGURES = {
    "vus_pr": (
        "VUS-PR",
        (
            "How well the score ranks labelled records above all others, with some tolerance at "
            "the edges of each label. 1 is perfect; the row of random scores shows what chance "
            "reaches. It needs no threshold."
        ),
    ),
    "auc_pr": (
        "AUC-PR",
        "The same without tolerance: record by record, exactly as labelled.",
    ),
    "best_f1": (
        "best F1",
        (
            "The balance of precision and recall at the best threshold anyone could pick after "
            "having seen the labels: an upper bound, not a promise."
        ),
    ),
    "f1": (
        "F1",
        (
            "The same balance for the records inside the episodes, with the threshold that was "
            "set before any label was seen."
        ),
    ),
    "precision": ("precision", "Of the records inside episodes, the share that is labelled."),
    "recall": ("recall", "Of the labelled records, the share that lies inside an episode."),
    "events": (
        "caught",
        (
            "Labelled events (unbroken runs of labelled records) with at least one record inside "
            "an episode, of all there are."
        ),
    ),
    "false": (
        "false",
        (
            "Episodes that touch no labelled record, of all episodes: what somebody is paged for "
            "in vain."
        ),
    ),
    "ef1": (
        "EF1",
        "The balance of events caught and episodes that were true: what an operator feels.",
    ),
    "false_episodes_per_1000": ("false per 1,000", "False episodes for every 1,000 records."),
    "delay_records": (
        "delay",
        (
            "Records from the start of an event to the first one inside an episode, in the mean "
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
    """Table and explanations.

    Args:
        figures: As `Backtest.figures` gives them; empty: there is no section.
        baselines: As `Backtest.baseline_figures` gives them.
    """
    if not figures:
        return ""
    heads = "".join(f'<th scope="col">{esc(head)}</th>' for head, _ in FIGURES.values())
    per_key = figures["per_key"]
    order = sorted(per_key, key=lambda key: per_key[key].get("vus_pr") or -1.0)
    body = "".join(_row(key, per_key[key]) for key in order[:_SHOWN_KEYS])
    left = len(order) - _SHOWN_KEYS
    if left > 0:
        body += _note(f"{left:,} keys with a higher VUS-PR are left out of this table.")
    worst = {name: entry["value"] for name, entry in figures["worst"].items()}
    mean = {**figures["mean"], **_counts(figures["pooled"])}
    summary = _row("mean, counts added up", mean, "mean") + _row("worst", worst, "worst")
    chance = "".join(
        _row(BASELINES.get(name, name), row, "baseline") for name, row in baselines.items()
    )
    if chance:
        chance = _note("For comparison, on the same records, in the mean over all keys:") + chance
    said = "".join(f"<dt>{esc(head)}</dt><dd>{esc(text)}</dd>" for head, text in FIGURES.values())
    return (
        '<section id="figures"><h2>How good it was</h2>'
        "<p>Held against the labels, which neither training nor scoring ever reads. Nothing is "
        "adjusted: a fault counts as found only where a record inside it is flagged.</p>"
        f'<div class="wide"><table class="figures"><thead><tr><th scope="col">key</th>{heads}</tr>'
        f"</thead><tbody>{body}</tbody><tbody>{summary}</tbody><tbody>{chance}</tbody></table></div>"
        f'<details><summary>What the figures mean</summary><dl class="said">{said}</dl></details>'
        "</section>"
    )


def _row(name: str, row: Mapping[str, Any], css: str = "") -> str:
    cells = "".join(f"<td>{_cell(column, row)}</td>" for column in FIGURES)
    return f'<tr class="{css}"><th scope="row">{esc(name)}</th>{cells}</tr>'


def _cell(column: str, row: Mapping[str, Any]) -> str:
    if column in ("events", "false"):
        part, whole = ("caught", "events") if column == "events" else ("false_episodes", "episodes")
        return f"{row[part]:,} / {row[whole]:,}" if row.get(whole) is not None else "–"
    value = row.get(column)
    if value is None:
        return "–"
    return f"{value:.1f}" if column == "delay_records" else f"{value:.2f}"


def _note(text: str) -> str:
    return f'<tr class="note"><td colspan="{len(FIGURES) + 1}">{esc(text)}</td></tr>'


def _counts(pooled: Mapping[str, Any]) -> dict[str, Any]:
    names = ("events", "caught", "episodes", "false_episodes")
    return {name: pooled[name] for name in names if name in pooled}
