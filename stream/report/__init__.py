"""Report of a backtest as one self-contained HTML page: episodes, causes and detection figures.

A pure function of a `Backtest` and its model; the same input gives the same bytes. The page loads
nothing, and needs its script only for the threshold slider.
"""

from __future__ import annotations

from ._page import render as render
from ._words import odds as odds
