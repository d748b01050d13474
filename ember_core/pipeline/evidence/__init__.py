"""Evidence by channel: what is usual for it at this time of the week, and how far it is from it."""

from .curves import SeverityCurves as SeverityCurves
