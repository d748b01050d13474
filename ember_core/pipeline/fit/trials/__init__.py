"""Models tried on rows with injected faults, and the gate that a retrained model has to pass."""

from .expected_pages import USUAL_BUDGET as USUAL_BUDGET
from .expected_pages import expected_pages as expected_pages
from .gate import judge as judge
from .verdict import Contestant as Contestant
from .verdict import Verdict as Verdict
