"""Array functions, the same names on every backend.

A function runs on the backend of the array it is given. Functions that make arrays use the default
backend (`EMBER_BACKEND` and `EMBER_DEVICE`, or `with ops.default_backend("torch", "cuda"):`), or
that of the array they are given as `like`. Arithmetic, comparison, logic and indexing are the
arrays' own operators.
"""

from __future__ import annotations

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
from ._creation import linspace as linspace
from ._creation import ones as ones
from ._creation import ones_like as ones_like
from ._creation import to as to
from ._creation import to_numpy as to_numpy
from ._creation import zeros as zeros
from ._creation import zeros_like as zeros_like
from ._elementwise import abs as abs  # noqa: A004
from ._elementwise import allclose as allclose
from ._elementwise import arccos as arccos
from ._elementwise import arcsin as arcsin
from ._elementwise import arctan as arctan
from ._elementwise import arctan2 as arctan2
from ._elementwise import astype as astype
from ._elementwise import ceil as ceil
from ._elementwise import clip as clip
from ._elementwise import cos as cos
from ._elementwise import cosh as cosh
from ._elementwise import exp as exp
from ._elementwise import expm1 as expm1
from ._elementwise import floor as floor
from ._elementwise import isclose as isclose
from ._elementwise import isfinite as isfinite
from ._elementwise import isnan as isnan
from ._elementwise import log as log
from ._elementwise import log1p as log1p
from ._elementwise import logaddexp as logaddexp
from ._elementwise import maximum as maximum
from ._elementwise import minimum as minimum
from ._elementwise import power as power
from ._elementwise import relu as relu
from ._elementwise import round as round  # noqa: A004
from ._elementwise import sigmoid as sigmoid
from ._elementwise import sign as sign
from ._elementwise import sin as sin
from ._elementwise import sinh as sinh
from ._elementwise import softplus as softplus
from ._elementwise import sqrt as sqrt
from ._elementwise import square as square
from ._elementwise import tan as tan
from ._elementwise import tanh as tanh
from ._elementwise import where as where
from ._exact import ExactWeight as ExactWeight
from ._exact import exact_exp as exact_exp
from ._exact import exact_matmul as exact_matmul
from ._exact import exact_tanh as exact_tanh
from ._exact import exact_weight as exact_weight
from ._gradient import stop_gradient as stop_gradient
from ._gradient import value_and_grad as value_and_grad
from ._linalg import cholesky as cholesky
from ._linalg import det as det
from ._linalg import eigh as eigh
from ._linalg import einsum as einsum
from ._linalg import inv as inv
from ._linalg import lstsq as lstsq
from ._linalg import matmul as matmul
from ._linalg import norm as norm
from ._linalg import outer as outer
from ._linalg import pinv as pinv
from ._linalg import qr as qr
from ._linalg import solve as solve
from ._linalg import svd as svd
from ._linalg import trace as trace
from ._loss import binary_cross_entropy as binary_cross_entropy
from ._loss import cross_entropy as cross_entropy
from ._loss import huber as huber
from ._loss import log_cosh as log_cosh
from ._loss import mean_absolute_error as mean_absolute_error
from ._loss import mean_squared_error as mean_squared_error
from ._random import bernoulli as bernoulli
from ._random import categorical as categorical
from ._random import exponential as exponential
from ._random import gamma as gamma
from ._random import generator as generator
from ._random import integers as integers
from ._random import normal as normal
from ._random import permutation as permutation
from ._random import poisson as poisson
from ._random import shuffle as shuffle
from ._random import uniform as uniform
from ._reduction import all as all  # noqa: A004
from ._reduction import any as any  # noqa: A004
from ._reduction import argmax as argmax
from ._reduction import argmin as argmin
from ._reduction import argsort as argsort
from ._reduction import array_equal as array_equal
from ._reduction import corrcoef as corrcoef
from ._reduction import count_nonzero as count_nonzero
from ._reduction import cov as cov
from ._reduction import cumsum as cumsum
from ._reduction import logsumexp as logsumexp
from ._reduction import max as max  # noqa: A004
from ._reduction import mean as mean
from ._reduction import median as median
from ._reduction import min as min  # noqa: A004
from ._reduction import prod as prod
from ._reduction import quantile as quantile
from ._reduction import sort as sort
from ._reduction import std as std
from ._reduction import sum as sum  # noqa: A004
from ._reduction import topk as topk
from ._reduction import var as var
from ._reduction import wide_sum as wide_sum
from ._select import Array as Array
from ._select import available_backends as available_backends
from ._select import backend_name as backend_name
from ._select import default_backend as default_backend
from ._select import default_device as default_device
from ._shape import ascontiguous as ascontiguous
from ._shape import broadcast_to as broadcast_to
from ._shape import concatenate as concatenate
from ._shape import copy as copy
from ._shape import diagonal as diagonal
from ._shape import dtype as dtype
from ._shape import expand_dims as expand_dims
from ._shape import flip as flip
from ._shape import one_hot as one_hot
from ._shape import pad as pad
from ._shape import repeat as repeat
from ._shape import reshape as reshape
from ._shape import roll as roll
from ._shape import shape as shape
from ._shape import split as split
from ._shape import squeeze as squeeze
from ._shape import stack as stack
from ._shape import take as take
from ._shape import take_along_axis as take_along_axis
from ._shape import tile as tile
from ._shape import transpose as transpose
from ._shape import tril as tril
from ._shape import triu as triu
from ._spectrum import irfft as irfft
from ._spectrum import rfft as rfft
