"""Keys that the model has never seen: how they begin, and how sure their first rows are."""

from .fit import fit_unseen as fit_unseen
