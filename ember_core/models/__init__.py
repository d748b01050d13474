"""The models: RBM, and liquid networks with motor neurons."""

from __future__ import annotations

from ._autoencoder import LiquidAutoencoder as LiquidAutoencoder
from ._categories import Categories as Categories
from ._categories import categorize_anomalies as categorize_anomalies
from ._detector_bundle import DETECTOR as DETECTOR
from ._detector_bundle import load_detector as load_detector
from ._detector_bundle import save_detector as save_detector
from ._forecaster import LiquidForecaster as LiquidForecaster
from ._original import read_original as read_original
from ._reading import ElapsedScale as ElapsedScale
from ._reading import Reading as Reading
from ._reading import ReadingModel as ReadingModel
from .detector import RBMDetector as RBMDetector
from .rbm import RBM as RBM
