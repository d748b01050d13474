"""Periods of a fleet: candidates on a fine grid, each judged on parts of the history left out."""

from __future__ import annotations

from .judgement import Period as Period
from .search import find_periods as find_periods
