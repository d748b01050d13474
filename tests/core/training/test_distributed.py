"""Two processes are one on the joined batch."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from ember_core import nn, ops
from ember_core.models import RBM
from ember_core.training import (
    SGD,
    Adam,
    BatchSlice,
    Checkpoint,
    EarlyStop,
    MLXDistributed,
    OneProcess,
    TorchDistributed,
    fit,
    fit_rbm,
    launch,
)
from tests.conftest import lacking

V, N, ROWS, BATCH = 11, 7, 199, 31  # six batches of 31, and one of 13
CLOSE = 1e-6  # of an array's length: single numbers near 0 differ by float32's rounding of sums


class Watched:
    """An optimiser that keeps the gradients it is given."""

    def __init__(self, optimizer):
        self._optimizer, self.gradients = optimizer, []
        self.init = optimizer.init

    def update(self, parameters, gradients, state):
        self.gradients.append({n: np.array(ops.to_numpy(g)) for n, g in gradients.items()})
        return self._optimizer.update(parameters, gradients, state)


def rows():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((ROWS, 2)) @ rng.standard_normal((2, V))
    return (x + 0.3 * rng.standard_normal((ROWS, V))).astype("float32")


def squared(net, batch):
    return ops.mean(ops.square(net(batch) - batch[:, :3]))


TRAININGS = {
    "sampled": {"sample": "hidden"},
    "persistent": {"persistent": True, "sample": "all", "k": 2},
    "binary": {"visible": "binary", "sample": "all", "sparsity_target": 0.2},
    "learnt sigma": {"learn_sigma": True},
}


def rbm_training(strategy, visible="gaussian", learn_sigma=False, **options):
    rbm = RBM(V, N, visible=visible, learn_sigma=learn_sigma, generator=ops.generator(3))
    if strategy.rank:
        rbm.weights.data = rbm.weights.data * 0.0  # the start is that of process 0
    data = rows() if visible == "gaussian" else (rows() > 0).astype("float32")
    optimizer = Watched(SGD(0.05, momentum=0.5))
    history = fit_rbm(
        rbm,
        data,
        epochs=2,  # training itself makes a rounding difference grow from batch to batch
        batch_size=BATCH,
        optimizer=optimizer,
        generator=ops.generator(5),
        strategy=strategy,
        validation=data[:37],
        callbacks=[EarlyStop(patience=9)],
        **options,
    )
    return optimizer.gradients, numpy_state(rbm), history.figures


def loss_training(strategy):
    net = nn.Sequential([nn.Linear(V, N), nn.Activation("tanh"), nn.Linear(N, 3)])
    optimizer = Watched(Adam(0.01))
    history = fit(
        net,
        rows(),
        loss=squared,
        epochs=3,
        batch_size=BATCH,
        optimizer=optimizer,
        generator=ops.generator(5),
        strategy=strategy,
    )
    return optimizer.gradients, numpy_state(net), history.figures


def numpy_state(module):
    return {name: np.array(ops.to_numpy(x)) for name, x in module.state_dict().items()}


def trainings(backend, losses, make):
    """Everything that is compared, by name; at the top of the module for `launch`."""
    strategy = make()
    with ops.default_backend(backend):
        found = {name: rbm_training(strategy, **how) for name, how in TRAININGS.items()}
        if losses:
            found["loss"] = loss_training(strategy)
    return strategy.rank, found


def assert_close(one, other, what):
    length = max(float(np.linalg.norm(other)), 1.0)
    assert float(np.linalg.norm(np.asarray(one) - other)) <= CLOSE * length, what


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, (gradients, state, figures) in expected.items():
        for one, other in zip(gradients, found[name][0], strict=True):
            for key, value in one.items():
                assert_close(other[key], value, f"gradient of {name} {key}")
        for key, value in state.items():
            assert_close(found[name][1][key], value, f"{name} {key}")
        for key, value in figures.items():
            np.testing.assert_allclose(found[name][2][key], value, rtol=1e-5, err_msg=key)


def need(*packages):
    for package in packages:
        if find_spec(package) is None:
            lacking(package, f"{package} is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_two_gloo_processes_are_one(backend):
    """Gradients of every batch, weights and figures, in sampled and persistent training too."""
    need("torch")
    losses = backend == "torch" or find_spec("autograd") is not None
    (_, expected) = trainings(backend, losses, OneProcess)
    results = launch(trainings, 2, backend, losses, TorchDistributed)
    assert [rank for rank, _ in results] == [0, 1]
    for _, found in results:
        assert_same(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "mlx"])
def test_two_processes_of_a_ring_are_one(backend):
    """The same over MLX's ring of sockets."""
    need("mlx")
    losses = backend == "mlx" or find_spec("autograd") is not None
    (_, expected) = trainings(backend, losses, OneProcess)
    results = launch(trainings, 2, backend, losses, MLXDistributed, group="mlx")
    assert [rank for rank, _ in results] == [0, 1]
    for _, found in results:
        assert_same(found, expected)


def cut_and_resumed(folder):
    """A training of two processes that is cut off, and what it becomes when resumed."""
    strategy = TorchDistributed()
    states = []
    for name, epochs, resume in (("whole", 4, False), ("cut", 2, False), ("cut", 4, True)):
        rbm = RBM(V, N)
        fit_rbm(
            rbm,
            rows(),
            epochs=epochs,
            batch_size=BATCH,
            persistent=True,
            generator=ops.generator(5),
            strategy=strategy,
            callbacks=[Checkpoint(f"{folder}/{name}", resume=resume)],
        )
        states.append(rbm.weights.data)
    return states


@pytest.mark.slow
def test_a_resumed_training_of_two_processes_ends_with_the_same_bits(tmp_path):
    need("torch")
    for whole, _, resumed in launch(cut_and_resumed, 2, str(tmp_path)):
        assert np.array_equal(whole, resumed)
    assert {p.name for p in tmp_path.iterdir()} >= {"cut", "cut.1"}


def fails():
    raise ValueError("on purpose")


def test_a_process_that_fails_ends_all():
    with pytest.raises(RuntimeError, match=r"Process [01] of 2 failed: ValueError: on purpose"):
        launch(fails, 2)


def test_processes_have_to_be_some_of_a_kind():
    with pytest.raises(ValueError, match="processes=0"):
        launch(fails, 0)
    with pytest.raises(ValueError, match="group='mpi'"):
        launch(fails, 2, group="mpi")


@pytest.mark.parametrize("total", [1, 2, 7, 31])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_cover_a_batch_once(total, size):
    shares = [BatchSlice.of(total, rank, size) for rank in range(size)]
    assert sum(s.weight for s in shares) == pytest.approx(1.0)
    if total < size:
        assert all(s.is_whole for s in shares)
    else:
        covered = np.concatenate([np.arange(total)[s.rows] for s in shares])
        assert np.array_equal(covered, np.arange(total))


def test_without_a_group_the_way_to_one_is_named(monkeypatch):
    need("torch")
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match=r"Missing: RANK.*torchrun --nproc-per-node 2"):
        TorchDistributed()


def test_without_a_ring_the_way_to_one_is_named(monkeypatch):
    need("mlx")
    for name in ("MLX_RANK", "MLX_HOSTFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match=r"Received: backend='ring'.*mlx.launch -n 2"):
        MLXDistributed("ring")
