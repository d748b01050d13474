"""Training: one loop, its steps, optimisers, schedules, callbacks and processes.

Models themselves hold none of it.
"""

from __future__ import annotations

from ._callbacks import EarlyStop as EarlyStop
from ._callbacks import Plateau as Plateau
from ._callbacks import Progress as Progress
from ._checkpoint import Checkpoint as Checkpoint
from ._contrastive import Chain as Chain
from ._contrastive import Divergence as Divergence
from ._contrastive import Sparsity as Sparsity
from ._contrastive import contrastive_divergence as contrastive_divergence
from ._detector import fit_detector as fit_detector
from ._detector import set_thresholds as set_thresholds
from ._history import History as History
from ._launch import launch as launch
from ._loop import fit as fit
from ._mlx_distributed import MLXDistributed as MLXDistributed
from ._optimizers import SGD as SGD
from ._optimizers import Adam as Adam
from ._optimizers import AdamW as AdamW
from ._optimizers import Optimizer as Optimizer
from ._optimizers import RMSprop as RMSprop
from ._optimizers import clip_by_norm as clip_by_norm
from ._optimizers import clip_by_value as clip_by_value
from ._optimizers import global_norm as global_norm
from ._rbm import ContrastiveDivergence as ContrastiveDivergence
from ._rbm import fit_rbm as fit_rbm
from ._run import Callback as Callback
from ._run import Run as Run
from ._schedules import Schedule as Schedule
from ._schedules import constant as constant
from ._schedules import cosine as cosine
from ._schedules import exponential as exponential
from ._schedules import stepwise as stepwise
from ._schedules import warmup as warmup
from ._sequences import calibrate_sequences as calibrate_sequences
from ._sequences import fit_sequences as fit_sequences
from ._strategy import BatchSlice as BatchSlice
from ._strategy import OneProcess as OneProcess
from ._strategy import Strategy as Strategy
from ._torch_distributed import TorchDistributed as TorchDistributed
