"""Modules: what holds weights, and the layers, wirings and cells made of them."""

from __future__ import annotations

from ._cfc import CfCCell as CfCCell
from ._cfc import WiredCfCCell as WiredCfCCell
from ._layers import Activation as Activation
from ._layers import Linear as Linear
from ._layers import Sequential as Sequential
from ._layers import activation as activation
from ._layers import lecun_tanh as lecun_tanh
from ._ltc import LTCCell as LTCCell
from ._module import Module as Module
from ._module import Parameter as Parameter
from ._ncp import NCP as NCP
from ._ncp import AutoNCP as AutoNCP
from ._plain_wirings import FullyConnected as FullyConnected
from ._plain_wirings import Random as Random
from ._wiring import Wiring as Wiring
