"""Array functions, the same names on every backend.

A function runs on the backend of the array it is given. Functions that make arrays use the default
backend (`EMBER_BACKEND` and `EMBER_DEVICE`, or `with ops.default_backend("torch", "cuda"):`), or
that of the array they are given as `like`. Arithmetic, comparison, logic and indexing are the
arrays' own operators. Rarer functions are in the namespaces `linalg`, `random`, `fft` and `losses`.
"""

from __future__ import annotations

from . import fft as fft
from . import linalg as linalg
from . import losses as losses
from . import random as random
from ._activation import elu as elu
from ._activation import gelu as gelu
from ._activation import hard_sigmoid as hard_sigmoid
from ._activation import leaky_relu as leaky_relu
from ._activation import log_softmax as log_softmax
from ._activation import silu as silu
from ._activation import softmax as softmax
from ._creation import arange as arange
from ._creation import asarray as asarray
from ._creation import device as device
from ._creation import eye as eye
from ._creation import from_numpy as from_numpy
from ._creation import full as full
from ._creation import generator as generator
from ._creation import ones as ones
from ._creation import ones_like as ones_like
from ._creation import to as to
from ._creation import to_numpy as to_numpy
from ._creation import zeros as zeros
from ._creation import zeros_like as zeros_like
from ._elementwise import abs as abs  # noqa: A004
from ._elementwise import astype as astype
from ._elementwise import clip as clip
from ._elementwise import cos as cos
from ._elementwise import exp as exp
from ._elementwise import expm1 as expm1
from ._elementwise import floor as floor
from ._elementwise import isfinite as isfinite
from ._elementwise import isnan as isnan
from ._elementwise import log as log
from ._elementwise import log1p as log1p
from ._elementwise import maximum as maximum
from ._elementwise import minimum as minimum
from ._elementwise import relu as relu
from ._elementwise import round as round  # noqa: A004
from ._elementwise import sigmoid as sigmoid
from ._elementwise import sin as sin
from ._elementwise import softplus as softplus
from ._elementwise import sqrt as sqrt
from ._elementwise import square as square
from ._elementwise import tanh as tanh
from ._elementwise import where as where
from ._gradient import stop_gradient as stop_gradient
from ._gradient import value_and_grad as value_and_grad
from ._matmul import matmul as matmul
from ._reduction import all as all  # noqa: A004
from ._reduction import any as any  # noqa: A004
from ._reduction import argmax as argmax
from ._reduction import logsumexp as logsumexp
from ._reduction import max as max  # noqa: A004
from ._reduction import mean as mean
from ._reduction import min as min  # noqa: A004
from ._reduction import std as std
from ._reduction import sum as sum  # noqa: A004
from ._reduction import wide_sum as wide_sum
from ._shape import ascontiguous as ascontiguous
from ._shape import broadcast_to as broadcast_to
from ._shape import concatenate as concatenate
from ._shape import copy as copy
from ._shape import dtype as dtype
from ._shape import expand_dims as expand_dims
from ._shape import repeat as repeat
from ._shape import reshape as reshape
from ._shape import shape as shape
from ._shape import stack as stack
from ._shape import take as take
from ._shape import tile as tile
from ._shape import transpose as transpose
from .dispatch import Array as Array
from .dispatch import available_backends as available_backends
from .dispatch import backend_name as backend_name
from .dispatch import default_backend as default_backend
from .dispatch import default_device as default_device
from .exact import ExactWeight as ExactWeight
from .exact import exact_cos as exact_cos
from .exact import exact_exp as exact_exp
from .exact import exact_log as exact_log
from .exact import exact_matmul as exact_matmul
from .exact import exact_sigmoid as exact_sigmoid
from .exact import exact_sin as exact_sin
from .exact import exact_tanh as exact_tanh
from .exact import exact_weight as exact_weight
from .exact import wide_exp as wide_exp
from .exact import wide_log as wide_log
