"""Figures of detection quality: VUS-PR, AUC-PR, alarm episodes, NAB; and baselines beside them.

Nothing here adjusts points: a fault counts as found only where a record inside it is flagged.
"""

from __future__ import annotations

from ember_core.evaluate._baselines import (
    Baseline as Baseline,
)
from ember_core.evaluate._baselines import (
    KMeansWindows as KMeansWindows,
)
from ember_core.evaluate._baselines import (
    PCAWindows as PCAWindows,
)
from ember_core.evaluate._baselines import (
    RandomScore as RandomScore,
)
from ember_core.evaluate._baselines import (
    ZScore as ZScore,
)
from ember_core.evaluate._baselines import (
    baselines as baselines,
)
from ember_core.evaluate._calibration import (
    LEVELS as LEVELS,
)
from ember_core.evaluate._calibration import (
    Exceedance as Exceedance,
)
from ember_core.evaluate._calibration import (
    exceedances as exceedances,
)
from ember_core.evaluate._episodes import (
    EpisodeScores as EpisodeScores,
)
from ember_core.evaluate._episodes import (
    alarm_episodes as alarm_episodes,
)
from ember_core.evaluate._episodes import (
    detection_delay as detection_delay,
)
from ember_core.evaluate._episodes import (
    episode_scores as episode_scores,
)
from ember_core.evaluate._explanations import (
    chance_in_first as chance_in_first,
)
from ember_core.evaluate._explanations import (
    hit_in_first as hit_in_first,
)
from ember_core.evaluate._explanations import (
    hit_rate as hit_rate,
)
from ember_core.evaluate._kmeans import (
    kmeans as kmeans,
)
from ember_core.evaluate._kmeans import (
    nearest as nearest,
)
from ember_core.evaluate._kmeans import (
    nearest_distance as nearest_distance,
)
from ember_core.evaluate._nab import (
    NAB_PROFILES as NAB_PROFILES,
)
from ember_core.evaluate._nab import (
    NabCosts as NabCosts,
)
from ember_core.evaluate._nab import (
    NabScore as NabScore,
)
from ember_core.evaluate._nab import (
    NabSeries as NabSeries,
)
from ember_core.evaluate._nab import (
    nab_probation as nab_probation,
)
from ember_core.evaluate._nab import (
    nab_score as nab_score,
)
from ember_core.evaluate._peers import (
    BernoulliRBMScore as BernoulliRBMScore,
)
from ember_core.evaluate._peers import (
    HalfSpaceTreesScore as HalfSpaceTreesScore,
)
from ember_core.evaluate._peers import (
    IsolationForestScore as IsolationForestScore,
)
from ember_core.evaluate._peers import (
    Mahalanobis as Mahalanobis,
)
from ember_core.evaluate._peers import (
    peers as peers,
)
from ember_core.evaluate._points import (
    BestF1 as BestF1,
)
from ember_core.evaluate._points import (
    PointScores as PointScores,
)
from ember_core.evaluate._points import (
    auc_pr as auc_pr,
)
from ember_core.evaluate._points import (
    best_f1 as best_f1,
)
from ember_core.evaluate._points import (
    point_f1 as point_f1,
)
from ember_core.evaluate._silhouette import silhouette as silhouette
from ember_core.evaluate._summary import (
    COUNTS as COUNTS,
)
from ember_core.evaluate._summary import (
    LOWER_IS_BETTER as LOWER_IS_BETTER,
)
from ember_core.evaluate._summary import (
    summarise as summarise,
)
from ember_core.evaluate._summary import (
    summary as summary,
)
from ember_core.evaluate._vus import vus_pr as vus_pr
