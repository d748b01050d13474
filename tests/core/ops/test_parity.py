"""Every operation gives on every backend what NumPy gives, and has the same signature there.

One table of cases makes it long.
"""

from __future__ import annotations

import inspect
from importlib.util import find_spec

import numpy as np
import pytest
from scipy import special

from ember_core import ops
from ember_core.ops import dispatch
from tests.conftest import lacking

# About backends, not about arrays: tests/core/ops/testdispatch.py and test_gradient.py hold them.
NEUTRAL = {"available_backends", "backend_name", "default_backend", "default_device"}
GRADIENTS = {"value_and_grad"}
# What a backend has besides the operations.
CONTRACT = {"check_device", "on_device", "resolve_device", "move", "value_and_grads"}
NAMESPACES = (ops.linalg, ops.random, ops.fft, ops.losses)
PUBLIC = {
    name: value
    for module in (ops, *NAMESPACES)
    for name, value in vars(module).items()
    if inspect.isfunction(value)
    and not name.startswith("_")
    and (module is ops or value.__module__ == module.__name__)
}
# Their defaults and device are settled before the backend is called.
CREATION = {"from_numpy", "zeros", "ones", "full", "arange", "eye", "generator"}
OPERATIONS = sorted(PUBLIC.keys() - NEUTRAL - GRADIENTS)

_rng = np.random.default_rng(5)
X, Y = _rng.standard_normal((2, 5, 7))
POSITIVE, SHARE = np.abs(X) + 0.5, _rng.uniform(-0.9, 0.9, (5, 7))
SQUARE = X @ X.T + np.eye(5)
COLUMN = _rng.standard_normal((5, 2))
TALL = _rng.standard_normal((7, 3))
HOLES = np.array([[np.nan, 1.0, -np.inf], [np.inf, -0.0, 2.5]])
HALVES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4])
LABELS = np.array([3, 0, 6, 2, 2])
TIES = np.array([[2.0, 1.0, 2.0, 1.0, 1.0], [5.0, 5.0, 3.0, 3.0, 7.0]])
PROBABILITY = special.softmax(Y, -1)


def drawn(name, *arguments, **keywords):
    """Shape, dtype and repeatability of a draw; its distribution is tested elsewhere."""

    def call(o, *arrays):
        a, b = o.generator(3, like=arrays[0]), o.generator(3, like=arrays[0])
        one = getattr(o.random, name)(a, *(arguments or arrays), **keywords)
        other = getattr(o.random, name)(b, *(arguments or arrays), **keywords)
        return [list(one.shape), int(bool(o.all(one == other))), int("float64" in o.dtype(one))]

    return call


def elementwise(name, *arrays):
    return (lambda o, *a: getattr(o, name)(*a), getattr(np, name), arrays)


def reduced(name):
    """Over all, one and two axes, with and without the axes kept."""
    options = [{}, {"axis": 1}, {"axis": -2, "keepdims": True}, {"axis": (0, 1), "keepdims": True}]

    def both(function):
        return lambda x: [getattr(function, name)(x, **o) for o in options]

    return (lambda o, x: both(o)(x), both(np), (X,))


# name -> (call on ops, the same on NumPy, the arrays of both)
CASES = {
    **{
        name: elementwise(name, X)
        for name in (
            *("exp", "expm1", "sin", "cos", "tanh", "square", "abs", "floor"),
            *("zeros_like", "ones_like"),
        )
    },
    **{name: elementwise(name, POSITIVE) for name in ("log", "log1p", "sqrt")},
    **{name: elementwise(name, HOLES) for name in ("isfinite", "isnan")},
    **{name: reduced(name) for name in ("sum", "mean", "std", "max", "min")},
    "round": elementwise("round", HALVES),
    "minimum": (
        lambda o, x, y: [o.minimum(x, y), o.minimum(x, 0.25), o.minimum(0.25, y)],
        lambda x, y: [np.minimum(x, y), np.minimum(x, 0.25), np.minimum(0.25, y)],
        (HOLES, HOLES[::-1].copy()),
    ),
    "maximum": (
        lambda o, x, y: [o.maximum(x, y), o.maximum(x, 0.25), o.maximum(0.25, y)],
        lambda x, y: [np.maximum(x, y), np.maximum(x, 0.25), np.maximum(0.25, y)],
        (HOLES, HOLES[::-1].copy()),
    ),
    "clip": (
        lambda o, x: [o.clip(x, -1.0, 0.5), o.clip(x, x - 1.0, x + 1.0)],
        lambda x: [np.clip(x, -1.0, 0.5), x],
        (HOLES[1:],),
    ),
    "where": (
        lambda o, x, y: [o.where(x > 0, x, y), o.where(x > 0, 0.0, y), o.where(x > 0, x, -1.0)],
        lambda x, y: [np.where(x > 0, x, y), np.where(x > 0, 0, y), np.where(x > 0, x, -1)],
        (X, Y),
    ),
    "sigmoid": (lambda o, x: o.sigmoid(5 * x), lambda x: special.expit(5 * x), (X,)),
    "softplus": (lambda o, x: o.softplus(9 * x), lambda x: np.logaddexp(9 * x, 0), (X,)),
    "relu": (lambda o, x: o.relu(x), lambda x: np.maximum(x, 0), (X,)),
    "leaky_relu": (
        lambda o, x: o.leaky_relu(x, 0.1),
        lambda x: np.where(x > 0, x, 0.1 * x),
        (X,),
    ),
    "elu": (
        lambda o, x: o.elu(x, 1.5),
        lambda x: np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0))),
        (X,),
    ),
    "silu": (lambda o, x: o.silu(x), lambda x: x * special.expit(x), (X,)),
    "gelu": (
        lambda o, x: o.gelu(x),
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        (X,),
    ),
    "hard_sigmoid": (
        lambda o, x: o.hard_sigmoid(4 * x),
        lambda x: np.clip(4 * x / 6 + 0.5, 0, 1),
        (X,),
    ),
    "softmax": (lambda o, x: o.softmax(x, 0), lambda x: special.softmax(x, 0), (X,)),
    "log_softmax": (lambda o, x: o.log_softmax(x), lambda x: special.log_softmax(x, -1), (X,)),
    "logsumexp": (
        lambda o, x, y: [o.logsumexp(x), o.logsumexp(800 * x, -1, True), o.logsumexp(y, 1)],
        lambda x, y: [
            special.logsumexp(x),
            special.logsumexp(800 * x, -1, keepdims=True),
            special.logsumexp(y, 1),
        ],
        (X, np.array([[-np.inf, -np.inf], [0.0, -np.inf]])),
    ),
    # creation
    "zeros": (
        lambda o, x: [o.zeros((2, 3), "float64", like=x), o.zeros(5, "int64", like=x)],
        lambda x: [np.zeros((2, 3)), np.zeros(5, int)],
        (X,),
    ),
    "ones": (lambda o, x: o.ones((2, 3), "float64", like=x), lambda x: np.ones((2, 3)), (X,)),
    "full": (
        lambda o, x: [o.full((2, 3), 0.1, "float64", like=x), o.full(3, 7, "int32", like=x)],
        lambda x: [np.full((2, 3), 0.1), np.full(3, 7, "int32")],
        (X,),
    ),
    "arange": (
        lambda o, x: [o.arange(5, like=x), o.arange(2, 11, 3, like=x)],
        lambda x: [np.arange(5), np.arange(2, 11, 3)],
        (X,),
    ),
    "eye": (lambda o, x: o.eye(3, "float64", like=x), lambda x: np.eye(3), (X,)),
    "asarray": (
        lambda o, x: [o.asarray(x), o.asarray(x, "int32")],
        lambda x: [x, x.astype("int32")],
        (9 * X,),
    ),
    "from_numpy": (
        lambda o, x: [o.from_numpy(Y[::-1], like=x), o.from_numpy(LABELS, like=x)],
        lambda x: [Y[::-1], LABELS],
        (X,),
    ),
    "to_numpy": (lambda o, x: o.to_numpy(x), lambda x: x, (X,)),
    "to": (
        lambda o, x: [o.to(x, dtype="float32"), o.to(x, device="cpu"), o.to(x, backend="numpy")],
        lambda x: [x.astype("float32"), x, x],
        (X,),
    ),
    "device": (lambda o, x: int(o.device(x) == "cpu"), lambda x: 1, (X,)),
    "dtype": (
        lambda o, x, n: [int(o.dtype(x) == "float64"), int(o.dtype(n) == "int64")],
        lambda x, n: [1, 1],
        (X, LABELS),
    ),
    "astype": (
        lambda o, x: [o.astype(x, "float32"), o.astype(x > 0, "int64"), o.astype(x, "bool")],
        lambda x: [x.astype("float32"), (x > 0).astype("int64"), x.astype(bool)],
        (X,),
    ),
    # reductions and order
    "any": (
        lambda o, x: [o.any(x > 2), o.any(x > 1, 0)],
        lambda x: [(x > 2).any(), (x > 1).any(0)],
        (X,),
    ),
    "all": (
        lambda o, x: [o.all(x < 9), o.all(x < 1, 1)],
        lambda x: [(x < 9).all(), (x < 1).all(1)],
        (X,),
    ),
    "argmax": (
        lambda o, x: [o.argmax(x), o.argmax(x, 1)],
        lambda x: [x.argmax(), x.argmax(1)],
        (TIES,),
    ),
    # shape
    "shape": (lambda o, x: list(o.shape(x)), lambda x: [5, 7], (X,)),
    "transpose": (
        lambda o, x: [o.transpose(x), o.transpose(x[None], (1, 0, 2))],
        lambda x: [x.T, x[None].transpose(1, 0, 2)],
        (X,),
    ),
    "reshape": (
        lambda o, x: [o.reshape(x, (7, -1)), o.reshape(x, -1)],
        lambda x: [x.reshape(7, 5), x.ravel()],
        (X,),
    ),
    "expand_dims": (lambda o, x: o.expand_dims(x, 1), lambda x: x[:, None], (X,)),
    "broadcast_to": (lambda o, x: o.broadcast_to(x, (2, 5, 7)), lambda x: np.stack([x, x]), (X,)),
    "concatenate": (
        lambda o, x, y: o.concatenate([x, y], 1),
        lambda x, y: np.hstack([x, y]),
        (X, Y),
    ),
    "stack": (lambda o, x, y: o.stack([x, y], 1), lambda x, y: np.stack([x, y], 1), (X, Y)),
    "tile": (lambda o, x: o.tile(x, (2, 3)), lambda x: np.tile(x, (2, 3)), (X,)),
    "repeat": (lambda o, x: o.repeat(x, 3, 1), lambda x: np.repeat(x, 3, 1), (X,)),
    "one_hot": (lambda o, n: o.one_hot(n, 7), lambda n: np.eye(7, dtype="float32")[n], (LABELS,)),
    "take": (
        lambda o, x, n: [o.take(x, n, 1), o.take(x, n[1:2])],
        lambda x, n: [np.take(x, n, 1), x[:1]],
        (X, LABELS),
    ),
    "ascontiguous": (lambda o, x: o.ascontiguous(o.transpose(x)), lambda x: x.T, (X,)),
    "copy": (lambda o, x: o.copy(o.transpose(x)), lambda x: x.T, (X,)),
    # matrices
    "matmul": (lambda o, x, y: o.matmul(x, o.transpose(y)), lambda x, y: x @ y.T, (X, Y)),
    "solve": (lambda o, a, b: o.linalg.solve(a, b), np.linalg.solve, (SQUARE, COLUMN)),
    "cholesky": (lambda o, a: o.linalg.cholesky(a), np.linalg.cholesky, (SQUARE,)),
    "eigh": (
        lambda o, a: [
            o.linalg.eigh(a)[0],
            o.matmul(o.linalg.eigh(a)[1] * o.linalg.eigh(a)[0], o.transpose(o.linalg.eigh(a)[1])),
        ],
        lambda a: [np.linalg.eigvalsh(a), a],
        (SQUARE,),
    ),
    "svd": (
        lambda o, a: [
            o.linalg.svd(a)[1],
            o.matmul(o.linalg.svd(a)[0] * o.linalg.svd(a)[1], o.linalg.svd(a)[2]),
            o.linalg.svd(o.transpose(a))[2] * 0,
        ],
        lambda a: [np.linalg.svd(a)[1], a, np.zeros((3, 7))],
        (TALL,),
    ),
    "exact_weight": (
        lambda o, a: list(o.exact_weight(a).blocks),
        lambda a: [np.rint(a * 2**20) / 2**20],
        (TALL,),
    ),
    "exact_matmul": (
        lambda o, x, w: [o.exact_matmul(x, w), o.exact_matmul(x[:1], o.exact_weight(w))],
        lambda x, w: [_numpy_exact(x, w), _numpy_exact(x, w)[:1]],
        (X, TALL),
    ),
    "wide_sum": (
        lambda o, x: o.wide_sum(o.astype(x, "float32")),
        lambda x: x.astype("float32").astype("float64").sum(-1),
        (X,),
    ),
    "exact_tanh": (
        lambda o, x: o.exact_tanh(x),
        lambda x: np.tanh(np.float64(np.float32(x))).astype("float32"),
        (X,),
    ),
    "exact_exp": (
        lambda o, x: o.exact_exp(x),
        lambda x: np.exp(np.float64(np.float32(x))).astype("float32"),
        (X,),
    ),
    "exact_log": (
        lambda o, x: o.exact_log(x),
        lambda x: np.log(np.float64(np.float32(x))).astype("float32"),
        (POSITIVE,),
    ),
    "exact_sigmoid": (
        lambda o, x: o.exact_sigmoid(x),
        lambda x: _numpy_sigmoid(x.astype("float32")),
        (X,),
    ),
    "exact_sin": (lambda o, x: o.exact_sin(x), lambda x: np.sin(x).astype("float32"), (X,)),
    "exact_cos": (lambda o, x: o.exact_cos(x), lambda x: np.cos(x).astype("float32"), (X,)),
    "wide_exp": (lambda o, x: o.wide_exp(x), lambda x: np.exp(x), (X,)),
    "wide_log": (lambda o, x: o.wide_log(x), lambda x: np.log(x), (POSITIVE,)),
    # losses
    "mean_squared_error": (
        lambda o, x, y: [o.losses.mean_squared_error(x, y), o.losses.mean_squared_error(x, y, -1)],
        lambda x, y: [((x - y) ** 2).mean(), ((x - y) ** 2).mean(-1)],
        (X, Y),
    ),
    "cross_entropy": (
        lambda o, x, n, p: [o.losses.cross_entropy(x, n), o.losses.cross_entropy(x, p, 0.1, -1)],
        lambda x, n, p: [
            -special.log_softmax(x, -1)[np.arange(5), n].mean(),
            -((0.9 * p + 0.1 / 7) * special.log_softmax(x, -1)).sum(-1),
        ],
        (X, LABELS, PROBABILITY),
    ),
    # random: shape, repeatable, float64
    "generator": (drawn("uniform", (2, 3)), lambda x: [[2, 3], 1, 0], (X,)),
    "uniform": (drawn("uniform", (2, 3), "float64"), lambda x: [[2, 3], 1, 1], (X,)),
    "normal": (drawn("normal", (2, 3), "float64"), lambda x: [[2, 3], 1, 1], (X,)),
    "bernoulli": (drawn("bernoulli"), lambda x: [[5, 7], 1, 1], (PROBABILITY,)),
    "permutation": (drawn("permutation", 11), lambda x: [[11], 1, 0], (X,)),
    # spectrum, gradient
    "rfft": (
        lambda o, x: [abs(o.fft.rfft(x)), abs(o.fft.rfft(x, 0))],
        lambda x: [np.abs(np.fft.rfft(x)), np.abs(np.fft.rfft(x, axis=0))],
        (X,),
    ),
    "irfft": (lambda o, x: o.fft.irfft(o.fft.rfft(x), 7), lambda x: x, (X,)),
    "stop_gradient": (lambda o, x: o.stop_gradient(x), lambda x: x, (X,)),
}
# Their dtype is said, or their own, whatever the arrays' is.
OWN_DTYPE = {"zeros", "ones", "full", "eye", "from_numpy", "exact_weight"}
OWN_DTYPE |= {"wide_sum", "wide_exp", "wide_log"}
FLOAT32 = {"mlx": {"rfft", "irfft"}}


def _numpy_exact(x, w):
    """The product of operands on the grid, float64, rounded once."""
    grid = np.rint(x.astype("float32") * 2.0**17) / 2.0**17
    return (grid.astype("float64") @ (np.rint(w * 2**20) / 2**20)).astype("float32")


def _numpy_sigmoid(x):
    """The quotient of an exponential that is rounded once."""
    e = np.exp(-np.abs(x.astype("float64"))).astype("float32")
    return np.where(x < 0, e, np.float32(1.0)) / (e + np.float32(1.0))


def flat(value):
    """The numbers of a nested result as NumPy arrays."""
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in flat(item)]
    return [np.asarray(value) if isinstance(value, (int, float)) else ops.to_numpy(value)]


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_gives_what_numpy_gives(backend, name):
    call, reference, arrays = CASES[name]
    got = flat(call(ops, *(ops.from_numpy(a) for a in arrays)))
    expected = flat(reference(*arrays))
    tolerance = 1e-5 if name in FLOAT32.get(backend, ()) else 1e-10
    assert len(got) == len(expected)
    for mine, right in zip(got, expected, strict=True):
        assert mine.shape == right.shape
        np.testing.assert_allclose(mine, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPERATIONS)
def test_dtypes_are_those_of_numpy(backend, name):
    """float64 stays float64 and float32 float32; counts and indices are int64."""
    call, reference, arrays = CASES[name]
    for kind in ("float64", "float32"):
        given = [a.astype(kind) if a.dtype == np.float64 else a for a in arrays]
        got = [a.dtype.name for a in flat(call(ops, *(ops.from_numpy(a) for a in given)))]
        right = [a.dtype.name for a in flat(reference(*arrays))]
        if name not in OWN_DTYPE and (kind == "float32" or name in FLOAT32.get(backend, ())):
            right = [n.replace("float64", "float32") for n in right]
        assert got == right


def parameters(function):
    """Names, kinds and defaults of the arguments."""
    signature = inspect.signature(function)
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


def creation_names(function):
    """Names of the arguments; `device` alone of a function that makes arrays."""
    return [name for name in inspect.signature(function).parameters if name != "like"]


def backend_module(name):
    if find_spec(name) is None:
        lacking(name, f"{name} is not installed")
    return dispatch.load_backend(name)


def own_functions(module):
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


@pytest.mark.parametrize("name", sorted(dispatch.BACKENDS))
def test_backend_has_the_public_signatures_and_nothing_else(name):
    own = own_functions(backend_module(name))
    assert own.keys() >= CONTRACT
    assert set() == own.keys() - CONTRACT - set(OPERATIONS)
    for function in own.keys() - CONTRACT:
        if own[function].__name__ != function:  # one of a family, made by a helper
            continue
        compare = creation_names if function in CREATION else parameters
        assert compare(PUBLIC[function]) == compare(own[function]), function


@pytest.mark.parametrize("name", sorted({*OPERATIONS, *NEUTRAL, *GRADIENTS}))
def test_operation_is_documented(name):
    assert inspect.getdoc(PUBLIC[name])
