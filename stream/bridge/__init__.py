"""`ember bridge`: triggers from their topics to whoever wakes people up.

A composition root of its own, beside `stream.app`: it joins the Kafka edge to metrics and health.
"""

from ._alertmanager import RESULTS as RESULTS
from ._alerts import OUTCOMES as OUTCOMES
from ._alerts import Alerts as Alerts
from ._bridge import Bridge as Bridge
from ._serve import serve as serve
