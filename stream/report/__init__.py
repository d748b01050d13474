"""Self-contained HTML pages: the report of a backtest, and the page of one key.

Pure functions of a `Backtest` and its model; the same input gives the same bytes. The pages load
nothing; that of a backtest needs its script only for the threshold slider, that of a key has none.
"""

from __future__ import annotations

from ._key_page import EventCard as EventCard
from ._key_page import render_key as render_key
from ._page import render as render
from ._words import odds as odds
