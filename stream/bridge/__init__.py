"""`ember bridge`: sends triggers from their topics to Alertmanager.

A composition root of its own, beside `stream.app`: it connects Kafka with metrics and health.
"""

from ._alertmanager import RESULTS as RESULTS
from ._alerts import OUTCOMES as OUTCOMES
from ._alerts import Alerts as Alerts
from ._bridge import Bridge as Bridge
from ._serve import serve as serve
