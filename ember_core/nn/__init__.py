"""Modules that hold weights: layers, wirings, cells and sequence layers."""

from __future__ import annotations

from ._cell import Cell as Cell
from ._cfc import CfCCell as CfCCell
from ._cfc import WiredCfCCell as WiredCfCCell
from ._fused import FusedCfC as FusedCfC
from ._gated import LSTMGatedCell as LSTMGatedCell
from ._gradient import value_and_grad as value_and_grad
from ._kinds import CellKind as CellKind
from ._kinds import liquid_cell as liquid_cell
from ._layers import Activation as Activation
from ._layers import Dropout as Dropout
from ._layers import LayerNorm as LayerNorm
from ._layers import Linear as Linear
from ._layers import Sequential as Sequential
from ._layers import activation as activation
from ._layers import lecun_tanh as lecun_tanh
from ._lstm import LSTMCell as LSTMCell
from ._lstm import MixedMemoryCell as MixedMemoryCell
from ._ltc import LTCCell as LTCCell
from ._module import Module as Module
from ._module import Parameter as Parameter
from ._motor import MotorCell as MotorCell
from ._motor import MotorHead as MotorHead
from ._motor import MotorOutput as MotorOutput
from ._ncp import NCP as NCP
from ._ncp import AutoNCP as AutoNCP
from ._plain_wirings import FullyConnected as FullyConnected
from ._plain_wirings import Random as Random
from ._sequence import Recurrent as Recurrent
from ._sequence import SequenceLayer as SequenceLayer
from ._sequence_layers import LSTM as LSTM
from ._sequence_layers import LTC as LTC
from ._sequence_layers import CfC as CfC
from ._sequence_layers import StrideAwareCfC as StrideAwareCfC
from ._stride_aware import StrideAwareCfCCell as StrideAwareCfCCell
from ._stride_aware import StrideAwareWiredCfCCell as StrideAwareWiredCfCCell
from ._strides import MultiStrideCell as MultiStrideCell
from ._strides import StridedCell as StridedCell
from ._strides import StrideMemoryCell as StrideMemoryCell
from ._threshold import AdaptiveThreshold as AdaptiveThreshold
from ._threshold import FixedThreshold as FixedThreshold
from ._threshold import LearnedThreshold as LearnedThreshold
from ._threshold import Threshold as Threshold
from ._time_gate import TimeGateCfCCell as TimeGateCfCCell
from ._wiring import Wiring as Wiring
