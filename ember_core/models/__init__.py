"""The models: RBM, and liquid networks with motor neurons."""

from __future__ import annotations

from ._frozen_rbm import FrozenRBM as FrozenRBM
from .liquid import LiquidNetwork as LiquidNetwork
from .rbm import RBM as RBM
