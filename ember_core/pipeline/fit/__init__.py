"""Training of a pipeline from history: scales, liquid network, scores, tail, thresholds."""

from __future__ import annotations

from .cascade import CascadeReport as CascadeReport
from .cascade import fit_cascade as fit_cascade
from .cascade import fit_cascade_liquid as fit_cascade_liquid
from .cascade import fit_cascade_rbm as fit_cascade_rbm
from .evidence_choice import EvidenceChoice as EvidenceChoice
from .evidence_choice import choose_evidence as choose_evidence
from .feature_choice import choose_features as choose_features
from .fleet_fit import fit_pipeline as fit_pipeline
from .incidents import Incident as Incident
from .liquid import fit_liquid as fit_liquid
from .periods import Period as Period
from .periods import find_periods as find_periods
from .series import Series as Series
from .trainer import MIN_ROWS as MIN_ROWS
from .trainer import PipelineTrainer as PipelineTrainer
from .trials import USUAL_BUDGET as USUAL_BUDGET
from .trials import Contestant as Contestant
from .trials import Verdict as Verdict
from .trials import expected_pages as expected_pages
from .trials import judge as judge
