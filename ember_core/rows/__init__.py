"""Rows: how their channels come from the samples, as the bundle says it.

Nothing here loads an array package but `evaluate`, so that settings can be checked quickly.

Examples:
    >>> from ember_core.rows import RecipeChannel, RowRecipe
    >>> recipe = RowRecipe((RecipeChannel("requests", "requests_total", "rate"),))
    >>> recipe.names, recipe.sources
    (('requests',), ('requests_total',))
"""

from __future__ import annotations

from .formula import Formula as Formula
from .formula import FormulaError as FormulaError
from .recipe import RecipeChannel as RecipeChannel
from .recipe import RowRecipe as RowRecipe
from .uses import AGGREGATES as AGGREGATES
from .uses import USES_TEXT as USES_TEXT
from .uses import is_aggregate as is_aggregate
from .uses import is_use as is_use
from .uses import quantile_of as quantile_of
