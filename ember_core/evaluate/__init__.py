"""Figures of detection quality: VUS-PR, AUC-PR, alarm episodes, NAB; and baselines beside them.

Nothing here adjusts points: a fault counts as found only where a record inside it is flagged.
"""

from __future__ import annotations

from ._baselines import Baseline as Baseline
from ._baselines import KMeansWindows as KMeansWindows
from ._baselines import PCAWindows as PCAWindows
from ._baselines import RandomScore as RandomScore
from ._baselines import ZScore as ZScore
from ._baselines import baselines as baselines
from ._calibration import LEVELS as LEVELS
from ._calibration import Exceedance as Exceedance
from ._calibration import exceedances as exceedances
from ._episodes import EpisodeScores as EpisodeScores
from ._episodes import alarm_episodes as alarm_episodes
from ._episodes import detection_delay as detection_delay
from ._episodes import episode_scores as episode_scores
from ._explanations import chance_in_first as chance_in_first
from ._explanations import hit_in_first as hit_in_first
from ._explanations import hit_rate as hit_rate
from ._kmeans import kmeans as kmeans
from ._kmeans import nearest as nearest
from ._kmeans import nearest_distance as nearest_distance
from ._nab import NAB_PROFILES as NAB_PROFILES
from ._nab import NabCosts as NabCosts
from ._nab import NabScore as NabScore
from ._nab import NabSeries as NabSeries
from ._nab import nab_probation as nab_probation
from ._nab import nab_score as nab_score
from ._peers import BernoulliRBMScore as BernoulliRBMScore
from ._peers import HalfSpaceTreesScore as HalfSpaceTreesScore
from ._peers import IsolationForestScore as IsolationForestScore
from ._peers import Mahalanobis as Mahalanobis
from ._peers import peers as peers
from ._points import BestF1 as BestF1
from ._points import PointScores as PointScores
from ._points import auc_pr as auc_pr
from ._points import best_f1 as best_f1
from ._points import point_f1 as point_f1
from ._silhouette import silhouette as silhouette
from ._summary import COUNTS as COUNTS
from ._summary import LOWER_IS_BETTER as LOWER_IS_BETTER
from ._summary import summarise as summarise
from ._summary import summary as summary
from ._vus import vus_pr as vus_pr
