"""A backtest as one self-contained HTML page: what fired, where, why, and how good it was.

Pure: a `Backtest` and its model in, text out; the same input gives the same bytes. The page loads
nothing, and needs its script only for the threshold slider.
"""

from __future__ import annotations

from ._page import render as render
from ._words import odds as odds
