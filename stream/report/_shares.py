"""Severity by channel over time: a heat map of few shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ember_core.plots.decimation import strongest_rows
from stream.counts import plural

from ._channels import blame
from ._facts import KeyFacts
from ._timeline import LEFT, RIGHT, WIDTH, time_scale
from ._words import esc

if TYPE_CHECKING:
    from ember_core.plots import KeyRows

CHANNELS = 24
_COLUMNS = 214  # four drawing units each
_ROW, _CELL, _TOP = 15, 13, 2
_LEVELS = 8
_NAME = 10  # characters beside the map


def share_map(facts: KeyFacts, rows: KeyRows) -> str:
    """Render the severity of each channel over time; the most severe row of a column counts.

    Args:
        facts: Results of the key, with the same rows.
        rows: The rows, with the shares of the channels.
    """
    x = time_scale(facts)
    positions = x(facts.scores.time_us.astype(np.float64))
    severity = np.maximum(np.asarray(rows.severity, dtype=np.float64), 0.0)
    index = strongest_rows(positions, severity, _COLUMNS)
    order = blame(rows)[:CHANNELS]
    # Usual rows of a model of joint evidence have no shares.
    shares = np.nan_to_num(np.asarray(rows.contribution, dtype=np.float64)[index][:, order])
    cells = severity[index, None] * shares
    highest = float(cells.max(initial=0.0))
    if highest <= 0.0:
        return ""
    level = np.rint(_LEVELS * cells / highest).astype(np.int64)
    column_width = (RIGHT - LEFT) / _COLUMNS
    columns = np.minimum((positions[index] - LEFT) // column_width, _COLUMNS - 1)
    edges = LEFT + column_width * columns
    height = _TOP + _ROW * len(order) + 4
    label = esc(f"Severity of {plural(len(order), 'channel')} over time, at most {highest:.1f}")
    parts = [f'<svg class="shares" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">']
    for number, channel in enumerate(order.tolist()):
        y = _TOP + _ROW * number
        name = rows.channels[channel]
        short = name if len(name) <= _NAME else name[: _NAME - 1] + "…"
        parts.append(
            f'<text class="lane" x="{LEFT - 6}" y="{y + 10}" text-anchor="end">{esc(short)}'
            f"<title>{esc(name)}</title></text>"
            f'<path class="lane-base" d="M{LEFT} {y + _CELL}H{RIGHT}"/>'
        )
    for step in range(1, _LEVELS + 1):
        rows_at, channels_at = np.nonzero(level == step)
        box = f"h{column_width:.1f}v{_CELL}h-{column_width:.1f}z"
        shapes = [
            f"M{edges[row]:.1f} {_TOP + _ROW * channel}{box}"
            for row, channel in zip(rows_at.tolist(), channels_at.tolist(), strict=True)
        ]
        if shapes:
            opacity = step / _LEVELS
            parts.append(
                f'<path class="share" fill-opacity="{opacity:.2f}" d="{"".join(shapes)}"/>'
            )
    parts.append("</svg>")
    return "".join(parts)
