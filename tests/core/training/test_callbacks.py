"""Callbacks: told in order, able to end a training, and a checkpoint that loses nothing."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from ember_core import ops
from ember_core.models import RBM
from ember_core.training import (
    SGD,
    Adam,
    Callback,
    Checkpoint,
    EarlyStop,
    Plateau,
    Progress,
    RMSprop,
    fit,
    fit_rbm,
)

V, N = 11, 7


def rows(count=300, seed=3):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 2)) @ np.random.default_rng(0).standard_normal((2, V))
    return (x + 0.3 * rng.standard_normal((count, V))).astype("float32")


def train(callbacks, *, epochs=5, **options):
    rbm = RBM(V, N)
    options = {"generator": ops.generator(5)} | options
    return rbm, fit_rbm(rbm, rows(), epochs=epochs, callbacks=callbacks, **options)


class Told(Callback):
    """Writes down what it is told; ends the training, or fails, after some epochs."""

    def __init__(self, *, stop=0, fail=0):
        self.stop, self.fail, self.moments = stop, fail, []

    def on_start(self, run):
        self.moments.append("start")

    def on_batch(self, run):
        self.moments.append("batch")

    def on_epoch(self, run):
        self.moments.append("epoch")
        if run.history.epochs == self.stop:
            run.stop()
        if run.history.epochs == self.fail:
            raise KeyboardInterrupt

    def on_end(self, run):
        self.moments.append("end")


def test_every_moment_is_told_and_the_training_can_be_ended():
    early, late = Told(stop=2), Told()
    _, history = train([early, late], epochs=9)
    assert history.epochs == 2
    assert early.moments == late.moments
    assert early.moments == ["start", *["batch"] * 3, "epoch", *["batch"] * 3, "epoch", "end"]


def test_the_end_is_told_after_an_error_too():
    told = Told(fail=1)
    with pytest.raises(KeyboardInterrupt):
        train([told])
    assert told.moments[-1] == "end"


class Figures(Callback):
    """Puts a prepared figure into the history, with the epoch's number as the hidden bias."""

    def __init__(self, values):
        self.values = values

    def on_epoch(self, run):
        epoch = run.history.epochs
        run.history.figures.setdefault("made", []).append(self.values[epoch - 1])
        run.module.hidden_bias.data = np.full(N, float(epoch), "float32")


def test_early_stop_waits_and_gives_the_best_weights_back():
    stop = EarlyStop("made", patience=2)
    rbm, history = train([Figures([5.0, 3.0, 4.0, 3.5, 1.0]), stop], epochs=5)
    assert history.epochs == 4
    assert (stop.best, stop.best_epoch) == (3.0, 2)
    assert (rbm.hidden_bias.data == 2.0).all()


def test_early_stop_may_keep_the_last_weights_and_want_more_than_a_hair():
    stop = EarlyStop("made", patience=2, least=0.5, restore=False)
    rbm, history = train([Figures([5.0, 4.0, 3.9, 3.8, 3.7]), stop])
    assert history.epochs == 4
    assert (rbm.hidden_bias.data == 4.0).all()


def test_figures_of_validation_are_watched_first():
    stop = EarlyStop()
    _, history = train([stop], validation=rows(90, seed=8))
    assert set(history.figures) == {
        "reconstruction_error",
        "validation_error",
        "validation_free_energy",
    }
    assert stop.best == min(history["validation_error"])


def test_a_figure_that_is_not_there_is_refused_by_name():
    with pytest.raises(KeyError, match=r"Expected one of: reconstruction_error\. Received: 'los'"):
        train([EarlyStop("los")])


def test_plateau_lowers_the_rate_after_its_patience_and_not_below_the_smallest():
    rate = Plateau(0.08, factor=0.5, patience=2, smallest=0.03, figure="made")
    seen = []

    class Look(Callback):
        last = True

        def on_epoch(self, run):
            seen.append(rate(run.history.steps))

    figures = Figures([5.0, 5.0, 5.0, 4.0, 4.0, 4.0, 4.0])
    train([figures, rate, Look()], epochs=7, learning_rate=rate)
    assert seen == [0.08, 0.08, 0.04, 0.04, 0.04, 0.03, 0.03]


@pytest.mark.parametrize("wrong", [{"factor": 1.0}, {"patience": 0}, {"rate": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="Expected"):
        Plateau(**({"rate": 0.1} | wrong))
    with pytest.raises(ValueError, match="patience=0"):
        EarlyStop(patience=0)
    with pytest.raises(ValueError, match="every=0"):
        Checkpoint("x", every=0)


def test_progress_says_nothing_where_there_is_no_terminal(capsys):
    train([Progress()])
    said = capsys.readouterr()
    assert said.out + said.err == ""


def test_progress_shows_the_figures_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    train([Progress()])
    assert "reconstruction_error" in terminal.getvalue()


OPTIMIZERS = [
    SGD(0.02, momentum=0.7),
    Adam(0.01),
    RMSprop(0.01, momentum=0.5),
    SGD(0.02),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("persistent", [False, True])
def test_a_resumed_training_ends_with_the_same_bits(tmp_path, optimizer, persistent):
    """Cut off after 3 of 8 epochs by an error, with a rate that falls and a best to restore."""
    options = {"optimizer": optimizer, "persistent": persistent, "epochs": 8}

    def callbacks(path, resume, fail=0):
        return [
            Checkpoint(tmp_path / path, resume=resume),
            EarlyStop("reconstruction_error", patience=50),
            Told(fail=fail),
        ]

    whole, history = train(callbacks("whole", False), **options)
    with pytest.raises(KeyboardInterrupt):
        train(callbacks("cut", False, fail=4), **options)
    resumed, again = train(callbacks("cut", True), **options, generator=ops.generator(99))
    assert again == history
    for name, value in whole.state_dict().items():
        assert np.array_equal(resumed.state_dict()[name], value), name


def test_a_checkpoint_of_a_finished_training_is_the_end(tmp_path):
    kept = tmp_path / "kept"
    one, history = train([Checkpoint(kept)])
    two, again = train([Checkpoint(kept, resume=True)])
    assert history == again
    assert np.array_equal(one.weights.data, two.weights.data)


def test_learnt_sigma_and_a_falling_rate_are_kept(tmp_path):
    def run(path, epochs, resume):
        rbm, rate = RBM(V, N, learn_sigma=True), Plateau(0.05, patience=1)
        history = fit_rbm(
            rbm,
            rows(),
            epochs=epochs,
            learning_rate=rate,
            generator=ops.generator(2),
            callbacks=[rate, Checkpoint(tmp_path / path, resume=resume, every=2)],
        )
        return rbm, history, rate.rate

    rbm, history, rate = run("whole", 9, False)
    run("cut", 4, False)
    again, after, lowered = run("cut", 9, True)
    assert (after, lowered) == (history, rate)
    assert np.array_equal(again.sigma, rbm.sigma)


@pytest.mark.parametrize("text", [b"", b"something else"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, text):
    (tmp_path / "kept").write_bytes(text)
    with pytest.raises(ValueError, match=r"The checkpoint cannot be read.*kept"):
        train([Checkpoint(tmp_path / "kept", resume=True)])


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    kept = tmp_path / "kept"
    train([Checkpoint(kept)])
    with pytest.raises(ValueError, match=r"Expected Adam with 1 callbacks\. Received: SGD with 1"):
        train([Checkpoint(kept, resume=True)], optimizer=Adam())
    with pytest.raises(ValueError, match="Wrong shape: weights"):
        fit_rbm(
            RBM(V, N + 2),
            rows(),
            generator=ops.generator(1),
            callbacks=[Checkpoint(kept, resume=True)],
        )


def test_a_training_needs_a_loss_or_a_step_and_not_both():
    rbm = RBM(V, N)
    with pytest.raises(ValueError, match="either a loss or a step"):
        fit(rbm, rows(), generator=ops.generator(1))
    with pytest.raises(ValueError, match="either a loss or a step"):
        fit(rbm, rows(), loss=len, step=len, generator=ops.generator(1))
