"""From a score to a decision: tail probability, motor neuron, explanation."""

from __future__ import annotations

from ember_core.detect._rows import decide_turns as decide_turns
from ember_core.detect.explain import Explainer as Explainer
from ember_core.detect.motor import Calibration as Calibration
from ember_core.detect.motor import MotorNeuron as MotorNeuron
from ember_core.detect.motor import calibrate as calibrate
from ember_core.detect.motor import leaky as leaky
from ember_core.detect.tail import Tail as Tail
from ember_core.detect.tail import fit_tail as fit_tail
