"""Telemetry as arrays: files and queries, tables of mixed columns, strides of windows.

`cells` says how one cell is read, `sources` reads tables, `columns` turns their columns into
numbers, `strides` cuts windows.
"""

from __future__ import annotations

from .columns import ColumnFeatures as ColumnFeatures
from .columns import HashEncoder as HashEncoder
from .columns import Imputer as Imputer
from .columns import MinMaxScaler as MinMaxScaler
from .columns import OneHotEncoder as OneHotEncoder
from .columns import OrdinalEncoder as OrdinalEncoder
from .columns import RobustScaler as RobustScaler
from .columns import StandardScaler as StandardScaler
from .columns import TargetEncoder as TargetEncoder
from .columns import split as split
from .strides import StrideState as StrideState
from .strides import StrideWindows as StrideWindows
from .strides import TemporalStrides as TemporalStrides
from .strides import rolling as rolling
