"""Every component is a module with a forward of its own, and a file brings it back."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from ember_core import models, nn, ops, pipeline
from ember_core.nn import Module
from ember_core.pipeline import Pipeline, PipelineConfig
from tests.core.nn.test_cells import MAKERS

F, H, C = 5, 11, 3
COMPONENTS = {
    **{f"cell {name}": make for name, make in MAKERS.items()},
    "linear": lambda: nn.Linear(F, H),
    "activation": lambda: nn.Activation("gelu"),
    "dropout": lambda: nn.Dropout(0.3),
    "layer norm": lambda: nn.LayerNorm(F),
    "chain": lambda: nn.Sequential([nn.Linear(F, H), nn.Activation("tanh"), nn.Dropout(0.1)]),
    "cfc": lambda: nn.CfC(F, nn.AutoNCP(H, 3)),
    "ltc": lambda: nn.LTC(F, nn.AutoNCP(H, 3)),
    "rbm": lambda: models.RBM(F, H),
    "binary rbm": lambda: models.RBM(F, H, visible="binary"),
    "liquid": lambda: pipeline.LiquidNetwork(C, 2, H, (1, 2)),
    "arrival": lambda: pipeline.Arrival(),
    "start": lambda: pipeline.Start(),
    "standardiser": lambda: pipeline.Standardiser(F),
    "gap filler": lambda: pipeline.GapFiller(C),
    "visible units": lambda: pipeline.VisibleUnits(F, 2, 0.02),
    "rbm score": lambda: pipeline.RBMScore(),
    "tail": lambda: pipeline.Tail(1.5, 720.0, 12),
    "motor": lambda: pipeline.MotorNeuron(3.5, 1.25),
    "group motor": lambda: pipeline.GroupMotor(C + 1, 1.5, calm_rows=7, accept_intervals=48.0),
    "severity curves": lambda: pipeline.SeverityCurves(F),
    "explainer": lambda: pipeline.Explainer([0, 1, 2, -1], C),
    "normaliser": lambda: pipeline.Normaliser(C),
    "scaler": lambda: pipeline.FeatureScaler(F),
    "clock": lambda: pipeline.Clock((86_400.0,), 3),
    "exponential windows": lambda: pipeline.ExponentialWindows(C, (2.0, 7.0)),
    "row windows": lambda: pipeline.RowWindows(C, 5, (1, 2), mode="hop"),
    "pipeline": lambda: Pipeline(
        PipelineConfig(channels=("a", "b", "c"), hidden=8, rbm_hidden=7, whiten=0.02)
    ),
}
PACKAGES = ("nn", "models", "data", "pipeline")


def subclasses(cls):
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("ember_core"):
            yield sub
            yield from subclasses(sub)


def concrete():
    """Every component that is not only the base of others."""
    for package in PACKAGES:
        importlib.import_module(f"ember_core.{package}")
    return sorted(set(subclasses(Module)), key=lambda c: c.__qualname__)


def test_every_component_has_a_forward_of_its_own():
    lacking = [c.__name__ for c in concrete() if c.forward is Module.forward and not bases(c)]
    assert not lacking


def bases(cls):
    return any(sub.__module__.startswith("ember_core") for sub in cls.__subclasses__())


def made_anew(component):
    """Weights that no constructor gives."""
    generator = ops.generator(17)
    component.assign(
        {
            name: ops.random.normal(generator, ops.shape(x))
            for name, x in component.state_dict().items()
            if ops.dtype(x) == "float32" and ops.shape(x)
        }
    )
    return component


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_file_brings_the_component_back(backend, name, tmp_path):
    component = made_anew(COMPONENTS[name]())
    component.save(tmp_path / "component")
    again = type(component).load(tmp_path / "component")
    assert type(again) is type(component)
    assert again.get_config() == component.get_config()
    own, other = component.state_dict(), again.state_dict()
    assert own.keys() == other.keys()
    for field, value in own.items():
        assert ops.backend_name(other[field]) == backend
        assert np.array_equal(ops.to_numpy(other[field]), ops.to_numpy(value))


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_moves_to_every_backend(backend, name):
    with ops.default_backend("numpy"):
        component = COMPONENTS[name]()
    before = {field: ops.to_numpy(x) for field, x in component.state_dict().items()}
    component.to(backend=backend)
    for field, value in component.state_dict().items():
        assert ops.backend_name(value) == backend
        assert np.array_equal(ops.to_numpy(value), before[field])


@pytest.mark.parametrize("name", ["rbm", "cfc", "pipeline"])
def test_a_file_that_is_cut_or_another_component_is_refused(name, tmp_path):
    component = COMPONENTS[name]()
    path = tmp_path / "component"
    component.save(path)
    with pytest.raises(ValueError, match=f"class='{type(component).__name__}'"):
        nn.Linear.load(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match="Expected a safetensors file"):
        type(component).load(path)
