"""Episodes and incidents of a model's history, as text."""

from __future__ import annotations

from typing import Any

from stream.counts import plural

from .output import clean

_HINT = (
    "If these were faults, mark them and train again, so that the like pages sooner: "
    "--exclude KEY@START..END, or --incidents FILE."
)


def episodes_text(report: dict[str, Any]) -> str:
    """Return how many episodes of the history would have paged, in one sentence."""
    episodes = report["episodes"]
    days = f"{episodes['days']:,.1f} days of {plural(episodes['keys'], 'key')} together"
    count = plural(episodes["count"], "episode")
    return f"{count} of the history would have paged at these thresholds, in {days}"


def worst_lines(episodes: dict[str, Any]) -> list[str]:
    """Return the worst episodes, a line each."""
    worst = episodes["worst"]
    width = max((len(clean(e["key"])) for e in worst), default=0)
    return [
        f"{clean(e['key']):<{width}}  {e['start']} to {e['end']}  severity {e['severity']:5.2f}  "
        f"{clean(e['channel'])}{'' if e['pages'] else '  (would not page)'}"
        for e in worst
    ]


def incident_lines(report: dict[str, Any]) -> list[str]:
    """Return what of the history thresholds were made without, a sentence each."""
    lines = []
    if marked := report.get("incidents"):
        lines.append(
            f"{plural(marked['windows'], 'incident')}, {_share(marked)}, left out of tails, curves "
            "and thresholds"
        )
    if dropped := report.get("dropped"):
        episodes = (
            f"{plural(dropped['count'], 'episode')} as rare as once in 10 days of a key, "
            f"{_share(dropped)}"
        )
        if dropped["left_out"]:
            lines.append(f"{episodes}, left out by --drop-incidents")
        else:
            lines.append(f"--drop-incidents was ignored: {episodes}, are too many for exceptions")
    return lines


def history_lines(report: dict[str, Any]) -> list[str]:
    """Return the part of a training's summary on episodes of the history."""
    lines = [f"Incidents: {line}." for line in incident_lines(report)]
    lines.append(f"History: {episodes_text(report)}.")
    worst = worst_lines(report["episodes"])
    if not worst:
        return lines
    lines.append(f"The worst {len(worst)}:" if len(worst) > 1 else "The worst:")
    return [*lines, *(f"  {line}" for line in worst), _HINT]


def _share(part: dict[str, Any]) -> str:
    return f"{plural(part['rows'], 'row')} ({100 * part['share']:.2g} %)"
