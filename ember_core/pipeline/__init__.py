"""Stages of a pipeline, in the order a row meets them: from its arrival to a decision.

Normaliser, windows, liquid network, RBM score, tail and motor neuron are modules with weights only;
a key's state is handed in and handed back. `fit` learns them from history.
"""

from __future__ import annotations

from .arrangements import cascade_stages as cascade_stages
from .arrangements import service_stages as service_stages
from .arrival import Arrival as Arrival
from .arrival import Start as Start
from .bands import COVERAGE as COVERAGE
from .bands import Bands as Bands
from .bands import bands_of_noise as bands_of_noise
from .bands import follow_bands as follow_bands
from .cascade import CascadePipeline as CascadePipeline
from .civil import CivilCalendar as CivilCalendar
from .clock import Clock as Clock
from .config import ADJUSTABLE as ADJUSTABLE
from .config import PipelineConfig as PipelineConfig
from .drift import Drift as Drift
from .evidence import ChannelEvidence as ChannelEvidence
from .evidence import JointEvidence as JointEvidence
from .evidence import SeverityCurves as SeverityCurves
from .explain import Explainer as Explainer
from .explain import channel_weights as channel_weights
from .fleet import FleetModel as FleetModel
from .gaps import GapFiller as GapFiller
from .group_motor import GroupFiring as GroupFiring
from .group_motor import GroupMotor as GroupMotor
from .kernels.exponential_series import exponential_series as exponential_series
from .liquid import LiquidNetwork as LiquidNetwork
from .motor import Calibration as Calibration
from .motor import MotorNeuron as MotorNeuron
from .motor import calibrate as calibrate
from .motor import leaky as leaky
from .normaliser import Normaliser as Normaliser
from .observation import Decision as Decision
from .observation import Observation as Observation
from .observation import tail_probability as tail_probability
from .packing import PackedRows as PackedRows
from .page_rates import PageRates as PageRates
from .pauses import KEPT_PAUSES as KEPT_PAUSES
from .pauses import Pauses as Pauses
from .pauses import note_pauses as note_pauses
from .pauses import usual_pause as usual_pause
from .pipeline import Pipeline as Pipeline
from .rbm_score import FrozenRBM as FrozenRBM
from .rbm_score import RBMScore as RBMScore
from .rbm_score import freeze_rbm as freeze_rbm
from .scaler import FeatureScaler as FeatureScaler
from .scored_series import ScoredSeries as ScoredSeries
from .scored_series import first_band as first_band
from .scored_series import first_state as first_state
from .scored_series import score_series as score_series
from .stage import Role as Role
from .stage import Stage as Stage
from .stage import State as State
from .stage import StateField as StateField
from .stage import names_with as names_with
from .stage import zero_state as zero_state
from .standardiser import Standardiser as Standardiser
from .tail import Tail as Tail
from .tail import fit_tail as fit_tail
from .visible_units import CLOCK_SCALE as CLOCK_SCALE
from .visible_units import VisibleUnits as VisibleUnits
from .windows import ExponentialWindows as ExponentialWindows
from .windows import RowWindows as RowWindows
