"""Fixtures shared by all tests, and what a machine must have under `EMBER_REQUIRE`."""

from __future__ import annotations

import os
from pathlib import Path

# As the command line does, before NumPy is imported: BLAS threads only get in each other's way.
# ruff: noqa: E402
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Workers of the tests stay plain, unless a test wants them compiled. Machine code is kept for the
# next run of the tests.
os.environ.setdefault("EMBER_MODEL__COMPILED", "off")
_caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(_caches) / "ember-stream"))

from collections.abc import Iterator
from importlib.util import find_spec
from typing import NoReturn

import hypothesis
import pytest

from benchmarks.kafka_jars import KafkaUnavailableError, jars, java
from ember_core import ops
from tests.compiled import compile_engines

# A busy machine is no failure; what is slow is for the benchmarks to say.
hypothesis.settings.register_profile("full", deadline=None, max_examples=100)
hypothesis.settings.register_profile("fast", deadline=None, max_examples=25)

SHARED = Path(__file__).resolve().parents[2] / "shared"
NEED_KAFKA = {"kafka", "_kafka", "real_kafka"}
REQUIRED = {name for name in os.environ.get("EMBER_REQUIRE", "").split(",") if name}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--kafka HOST:PORT`: a broker that is there already; `--compiled`: engines are compiled."""
    parser.addoption(
        "--kafka", metavar="HOST:PORT", help="real broker for the tests marked kafka (else: jars)"
    )
    parser.addoption("--compiled", action="store_true", help="run engines on compiled stages")


# tryfirst: before -m chooses.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a Kafka of its own, so that no fast test does."""
    for item in items:
        if NEED_KAFKA & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples where slow tests are left out, and compile engines where asked to."""
    if config.getoption("--compiled"):
        compile_engines()
    fast = "not slow" in config.getoption("markexpr")
    hypothesis.settings.load_profile("fast" if fast else "full")


def examples(full: int) -> int:
    """As many of `full` examples as the present tier draws of a hundred."""
    return max(1, full * hypothesis.settings.default.max_examples // 100)


def lacking(what: str, why: str) -> NoReturn:
    """Skip with the reason, or fail where `EMBER_REQUIRE` names `what`."""
    if what in REQUIRED:
        pytest.fail(f"EMBER_REQUIRE names {what!r}, but {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the labelled telemetry sets."""
    path = SHARED / "data"
    if not path.is_dir():
        lacking("data", "../shared/data is not there")
    return path


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """Folder of the files shaped like those of public reports."""
    path = SHARED / "cases"
    if not path.is_dir():
        lacking("data", "../shared/cases is not there")
    return path


@pytest.fixture(scope="session")
def real_kafka() -> None:
    """Whether there is what a test needs that starts a Kafka of its own."""
    try:
        java(), jars()
    except KafkaUnavailableError as error:
        lacking("kafka", str(error))


@pytest.fixture(params=["numpy", "torch", "mlx"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each backend in turn, as the default one of the test."""
    name: str = request.param
    if find_spec(name) is None:
        lacking(name, f"{name} is not installed")
    with ops.default_backend(name):
        yield name


@pytest.fixture
def gradients(backend: str) -> str:
    """As `backend`, where it can differentiate."""
    if backend == "numpy" and find_spec("autograd") is None:
        lacking("autograd", "autograd is not installed")
    return backend
