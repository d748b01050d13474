"""The models: RBM, and liquid networks with motor neurons."""

from __future__ import annotations

from ._categories import Categories as Categories
from ._categories import categorize_anomalies as categorize_anomalies
from ._frozen_rbm import FrozenRBM as FrozenRBM
from .detector import RBMDetector as RBMDetector
from .liquid import LiquidNetwork as LiquidNetwork
from .rbm import RBM as RBM
