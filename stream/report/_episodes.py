"""List of a key's episodes: time, peak and channels."""

from __future__ import annotations

from stream.counts import plural
from stream.records import TopChannel

from ._facts import Episode, KeyFacts
from ._words import TimeFormat, esc, number, odds

MOST = 12
_CHANNELS = 5


def episode_list(facts: KeyFacts, time_format: TimeFormat) -> str:
    """Render the episodes with the highest peaks as a table in order of time; empty without any."""
    if not facts.episodes:
        return ""
    worst = sorted(facts.episodes, key=lambda e: -e.peak)[:MOST]
    labelled = facts.label is not None
    rows = "".join(
        _row(e, facts, time_format, labelled) for e in sorted(worst, key=lambda e: e.start_us)
    )
    unlisted = len(facts.episodes) - len(worst)
    sentence = f"The {MOST} highest peaks; {unlisted:,} more are not listed."
    note = f'<p class="soft">{sentence}</p>' if unlisted else ""
    verdict = '<th class="text">verdict</th>' if labelled else ""
    return (
        '<div class="wide"><table class="episodes"><thead><tr><th>from</th>'
        '<th class="text">until</th><th>rows</th><th class="text">peak</th>'
        f'{verdict}<th class="text">channels: share, observed, expected</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{note}"
    )


def _row(episode: Episode, facts: KeyFacts, time_format: TimeFormat, labelled: bool) -> str:
    if episode.end_us is None:
        end = "still open at the end"
    else:
        end = time_format.moment(episode.end_us)
    verdict = ""
    if labelled:
        css = "verdict-true" if episode.true else "verdict-false"
        verdict = f'<td class="text {css}">{_verdict(episode, facts)}</td>'
    return (
        f'<tr><th>{esc(time_format.moment(episode.start_us))}</th><td class="text">{esc(end)}</td>'
        f"<td>{episode.last - episode.first + 1:,}</td>"
        f'<td class="text">{episode.peak:.1f}<br>'
        f'<span class="soft">{odds(episode.peak)}</span></td>'
        f"{verdict}"
        f'<td class="text">{channel_bars(episode.channels)}</td></tr>'
    )


def _verdict(episode: Episode, facts: KeyFacts) -> str:
    if not episode.true:
        return "false"
    starts, ends = facts.spans[:, 0], facts.spans[:, 1]
    touched = int(((starts <= episode.last) & (ends > episode.first)).sum())
    return f"true: {plural(touched, 'event')}"


def channel_bars(channels: tuple[TopChannel, ...]) -> str:
    """Render name, share, observed and expected value of each channel."""
    cells = []
    for c in channels[:_CHANNELS]:
        share = max(0.0, min(c.share, 1.0))
        arrow = "" if c.value is None else "↑ " if c.direction == "above" else "↓ "
        cells.append(
            f"<span>{esc(c.name)}</span>"
            f'<span class="bar"><i style="width:{100 * share:.0f}%"></i></span>'
            f'<span class="n">{100 * share:.0f} %</span>'
            f"<span>{arrow}{number(c.value)}, expected {number(c.expected)}</span>"
        )
    return f'<div class="channels">{"".join(cells)}</div>'
