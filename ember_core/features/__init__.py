"""Features: columns of tables, scaling, windows and strides, the clock; `sources` reads tables."""

from __future__ import annotations

from ember_core.features._exponential import exponential_series as exponential_series
from ember_core.features._rolling import rolling as rolling
from ember_core.features._strides import StrideState as StrideState
from ember_core.features._strides import StrideWindows as StrideWindows
from ember_core.features._strides import TemporalStrides as TemporalStrides
from ember_core.features.clock import Clock as Clock
from ember_core.features.clock import find_period as find_period
from ember_core.features.columns import ColumnFeatures as ColumnFeatures
from ember_core.features.columns import HashEncoder as HashEncoder
from ember_core.features.columns import Imputer as Imputer
from ember_core.features.columns import MinMaxScaler as MinMaxScaler
from ember_core.features.columns import OneHotEncoder as OneHotEncoder
from ember_core.features.columns import OrdinalEncoder as OrdinalEncoder
from ember_core.features.columns import RobustScaler as RobustScaler
from ember_core.features.columns import StandardScaler as StandardScaler
from ember_core.features.columns import TargetEncoder as TargetEncoder
from ember_core.features.columns import split as split
from ember_core.features.normalise import Normaliser as Normaliser
from ember_core.features.scaler import FeatureScaler as FeatureScaler
from ember_core.features.windows import ExponentialWindows as ExponentialWindows
from ember_core.features.windows import RowWindows as RowWindows
