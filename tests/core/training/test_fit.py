"""The loop: losses on every backend, own steps, and backends that give the same model."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops
from ember_core.models import RBM
from ember_core.training import SGD, Adam, Checkpoint, EarlyStop, fit, fit_rbm

F, H, O = 5, 7, 3  # noqa: E741


def data(rows=199, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, F)).astype("float32")
    y = np.tanh(x @ np.random.default_rng(0).standard_normal((F, O))).astype("float32")
    return x, y


def network(seed=2):
    """The same weights on every backend."""
    net = nn.Sequential([nn.Linear(F, H), nn.Activation("tanh"), nn.Linear(H, O)])
    rng = np.random.default_rng(seed)
    net.load_state_dict(
        {
            n: ops.from_numpy(0.5 * rng.standard_normal(ops.shape(x)).astype("float32"))
            for n, x in net.state_dict().items()
        }
    )
    return net


def squared(net, batch):
    x, y = batch
    return ops.mean(ops.square(net(x) - y))


def train(**options):
    net = network()
    options = {"epochs": 3, "generator": np.random.default_rng(4), "optimizer": SGD(0.1)} | options
    return net, fit(net, data(), loss=squared, **options)


def numpy_state(module):
    return {name: ops.to_numpy(x) for name, x in module.state_dict().items()}


def test_a_loss_is_descended(gradients):
    with ops.default_backend(gradients):
        net, history = train(optimizer=Adam(0.01), epochs=60, validation=data(61, 9))
    assert history.epochs == 60
    assert history["loss"][-1] < 0.05 * history["loss"][0]
    assert history["validation_loss"][-1] < 0.1
    assert net.training
    assert ops.backend_name(net.parameters()[0].data) == gradients


def test_every_backend_takes_the_same_steps(gradients):
    """Order from one generator; weights to float32's rounding after 6 steps."""
    expected, _ = train()
    with ops.default_backend(gradients):
        net, _ = train()
    for name, value in numpy_state(net).items():
        np.testing.assert_allclose(value, expected.state_dict()[name], rtol=2e-5, atol=2e-6)


def test_an_rbm_learns_the_same_on_every_backend(backend):
    """Mean field, so that no draws are in it: errors and weights agree."""
    found = []
    for name in ("numpy", backend):
        with ops.default_backend(name):
            rbm = RBM(F, H)
            weights = np.random.default_rng(3).standard_normal((F, H)).astype("float32")
            rbm.weights.data = ops.from_numpy(0.1 * weights)
            history = fit_rbm(
                rbm, data()[0], epochs=3, sample="none", generator=np.random.default_rng(5)
            )
        found.append((numpy_state(rbm), history["reconstruction_error"]))
    for name, value in found[1][0].items():
        np.testing.assert_allclose(value, found[0][0][name], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-5)


@pytest.mark.parametrize("persistent", [False, True])
def test_draws_and_checkpoints_are_the_backends_own(backend, tmp_path, persistent):
    """Sampled training on each backend, cut off and resumed: the same bits."""

    def run(name, epochs, resume):
        rbm = RBM(F, H, visible="binary")
        fit_rbm(
            rbm,
            (data()[0] > 0).astype("float32"),
            epochs=epochs,
            sample="all",
            persistent=persistent,
            validation=data(31)[0] > 0,
            generator=ops.generator(6),
            callbacks=[Checkpoint(tmp_path / name, resume=resume), EarlyStop(patience=20)],
        )
        return numpy_state(rbm)

    with ops.default_backend(backend):
        whole = run("whole", 4, False)
        run("cut", 2, False)
        resumed = run("cut", 4, True)
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)


def test_a_resumed_loss_ends_with_the_same_bits(gradients, tmp_path):
    with ops.default_backend(gradients):
        options = {"optimizer": Adam(0.01)}
        whole, history = train(**options, epochs=6)
        train(**options, epochs=2, callbacks=[Checkpoint(tmp_path / "cut")])
        resumed, again = train(
            **options, epochs=6, callbacks=[Checkpoint(tmp_path / "cut", resume=True)]
        )
    assert again == history
    one, two = numpy_state(whole), numpy_state(resumed)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_gradients_can_be_shortened_and_parameters_held():
    def held(parameters):
        return {name: ops.clip(p, -0.01, 0.01) for name, p in parameters.items()}

    net, _ = train(constrain=held)
    assert max(np.abs(x).max() for x in net.state_dict().values()) <= 0.01
    short, _ = train(max_gradient_norm=1e-6, epochs=1)
    for name, value in network().state_dict().items():
        np.testing.assert_allclose(short.state_dict()[name], value, atol=1e-6)


def test_a_step_of_ones_own_keeps_memory_and_figures():
    counts = []

    def step(net, batch, run):
        counts.append((run.batch, len(batch[0])))
        run.memory["seen"] = run.memory.get("seen", np.zeros(1)) + len(batch[0])
        zero = {name: np.zeros_like(p) for name, p in run.parameters.items()}
        return zero, {"seen": float(run.memory["seen"][0])}

    history = fit(network(), data(), step=step, epochs=2, generator=ops.generator(1))
    assert counts == [(0, 128), (1, 71)] * 2
    assert history["seen"] == pytest.approx(
        [(128 * 128 + 199 * 71) / 199, (327 * 128 + 398 * 71) / 199]
    )


def test_a_loss_that_is_no_number_is_refused_before_the_step():
    x, y = data(100)
    y[70] = np.nan
    net = network()
    with pytest.raises(ValueError, match="batch 1 of epoch 1"):
        fit(net, (x, y), loss=squared, generator=ops.generator(1))
    for name, value in network().state_dict().items():
        assert np.array_equal(net.state_dict()[name], value)


def test_frozen_parameters_stay_and_the_others_learn(gradients):
    with ops.default_backend(gradients):
        net = network()
        net.layers[0].weight.trainable = False
        before = numpy_state(net)
        before = {name: value.copy() for name, value in before.items()}
        fit(net, data(), loss=squared, epochs=2, generator=np.random.default_rng(4))
        after = numpy_state(net)
    moved = {name for name in after if not np.array_equal(after[name], before[name])}
    assert moved == set(after) - {"layers.0.weight"}


def test_an_rbm_may_keep_its_weights_and_learn_biases_only():
    rbm = RBM(F, H, learn_sigma=True)
    before = rbm.weights.data.copy()
    rbm.weights.trainable = False
    fit_rbm(rbm, data()[0], epochs=2, generator=ops.generator(1))
    assert np.array_equal(rbm.weights.data, before)
    assert np.abs(rbm.visible_bias.data).max() > 0


def test_a_module_without_anything_to_train_is_refused():
    rbm = RBM(F, H)
    for parameter in rbm.parameters():
        parameter.trainable = False
    with pytest.raises(ValueError, match="RBM with 3 parameters, all frozen"):
        fit_rbm(rbm, data()[0], generator=ops.generator(1))
