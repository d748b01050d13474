"""Windows of rows at several strides, their statistics and principal components."""

from __future__ import annotations

from ._rolling import rolling as rolling
from ._strides import StrideState as StrideState
from ._strides import StrideWindows as StrideWindows
from ._strides import TemporalStrides as TemporalStrides
