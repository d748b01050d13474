"""`ember bridge`: sends alerts from their topics to Alertmanager, Slack, PagerDuty and others.

A composition root of its own, beside `stream.app`: it connects Kafka with metrics and health.
"""

from ._alerts import OUTCOMES as OUTCOMES
from ._bridge import Bridge as Bridge
from ._http import RESULTS as RESULTS
from ._incidents import Incidents as Incidents
from ._receivers import RECEIVERS as RECEIVERS
from ._receivers import ReceiverName as ReceiverName
from ._serve import serve as serve
from ._serve import serve_incidents as serve_incidents
