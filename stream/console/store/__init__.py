"""Recent hours of a service in memory, within a bound: scores, episodes, incidents, documents."""

from __future__ import annotations

from ._documents import Documents as Documents
from ._episodes import Episode as Episode
from ._heat import HEAT_STEP_US as HEAT_STEP_US
from ._keys import KeyTable as KeyTable
from ._points import Points as Points
from ._scores import ScoreStore as ScoreStore
from ._scores import Series as Series
from ._store import Store as Store
