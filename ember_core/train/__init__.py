"""How models learn: optimisers, schedules and loops. Models themselves hold none of it."""

from __future__ import annotations

from ._blocks import choose_blocks as choose_blocks
from ._liquid import fit_liquid as fit_liquid
from ._optimizers import SGD as SGD
from ._optimizers import Adam as Adam
from ._optimizers import Optimizer as Optimizer
from ._optimizers import clip_by_norm as clip_by_norm
from ._pipeline import Series as Series
from ._pipeline import fit_pipeline as fit_pipeline
from ._rbm import History as History
from ._rbm import contrastive_divergence as contrastive_divergence
from ._rbm import fit_rbm as fit_rbm
from ._schedules import Schedule as Schedule
from ._schedules import constant as constant
from ._schedules import cosine as cosine
from ._schedules import exponential as exponential
from ._schedules import warmup as warmup
