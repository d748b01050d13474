"""Models tried on rows with injected faults, and the gate that a retrained model has to pass."""

from .gate import judge as judge
from .verdict import Contestant as Contestant
from .verdict import Verdict as Verdict
