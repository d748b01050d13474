"""Features: scaling, windows and strides, the clock."""

from __future__ import annotations

from ember_core.features._exponential import exponential_series as exponential_series
from ember_core.features._rolling import rolling as rolling
from ember_core.features._strides import StrideState as StrideState
from ember_core.features._strides import StrideWindows as StrideWindows
from ember_core.features._strides import TemporalStrides as TemporalStrides
from ember_core.features.clock import Clock as Clock
from ember_core.features.clock import find_period as find_period
from ember_core.features.normalise import Normaliser as Normaliser
from ember_core.features.scaler import FeatureScaler as FeatureScaler
from ember_core.features.windows import ExponentialWindows as ExponentialWindows
from ember_core.features.windows import RowWindows as RowWindows
