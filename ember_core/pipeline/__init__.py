"""Everything a record meets, in the order it meets it: from a row to a decision.

Normaliser, windows, liquid network, RBM score, tail and motor neuron are modules with weights only;
a key's state is handed in and handed back. `fit` learns them from history.
"""

from __future__ import annotations

from .cascade import CascadePipeline as CascadePipeline
from .clock import Clock as Clock
from .clock import find_period as find_period
from .config import Decision as Decision
from .config import Observation as Observation
from .config import PipelineConfig as PipelineConfig
from .explain import Explainer as Explainer
from .fleet import FleetModel as FleetModel
from .kernels.decide import decide_packed as decide_packed
from .kernels.exponential_series import exponential_series as exponential_series
from .liquid import LiquidNetwork as LiquidNetwork
from .motor import Calibration as Calibration
from .motor import MotorNeuron as MotorNeuron
from .motor import calibrate as calibrate
from .motor import leaky as leaky
from .normaliser import Normaliser as Normaliser
from .packing import PackedRows as PackedRows
from .pipeline import CLOCK_SCALE as CLOCK_SCALE
from .pipeline import Pipeline as Pipeline
from .scaler import FeatureScaler as FeatureScaler
from .stage import State as State
from .stage import StateField as StateField
from .stage import zero_state as zero_state
from .tail import Tail as Tail
from .tail import fit_tail as fit_tail
from .windows import ExponentialWindows as ExponentialWindows
from .windows import RowWindows as RowWindows
