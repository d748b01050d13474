"""Columns of tables as features: types, gaps, scales, categories, times, texts, splits."""

from __future__ import annotations

from ._column_features import ColumnFeatures as ColumnFeatures
from ._encoders import HashEncoder as HashEncoder
from ._encoders import OneHotEncoder as OneHotEncoder
from ._encoders import OrdinalEncoder as OrdinalEncoder
from ._encoders import TargetEncoder as TargetEncoder
from ._plan import ColumnReport as ColumnReport
from ._profile import ColumnType as ColumnType
from ._quantiles import QuantileSketch as QuantileSketch
from ._scalers import Imputer as Imputer
from ._scalers import MinMaxScaler as MinMaxScaler
from ._scalers import RobustScaler as RobustScaler
from ._scalers import Scaler as Scaler
from ._scalers import StandardScaler as StandardScaler
from ._split import split as split
from ._texts import hashed_text as hashed_text
from ._texts import stable_hash as stable_hash
from ._texts import text_basics as text_basics
from ._times import components as components
from ._times import cyclical as cyclical
