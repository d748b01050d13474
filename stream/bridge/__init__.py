"""`ember bridge`: sends alerts from their topics to Alertmanager, Slack, PagerDuty and others.

A composition root of its own, beside `stream.app`: it connects Kafka with metrics and health.
`stream.remote_write` shares its requests, its progress and its process.
"""

from ._alerts import OUTCOMES as OUTCOMES
from ._bridge import Bridge as Bridge
from ._http import RESULTS as RESULTS
from ._http import BackOff as BackOff
from ._http import Endpoint as Endpoint
from ._http import NotAcceptedError as NotAcceptedError
from ._http import Result as Result
from ._http import UnavailableError as UnavailableError
from ._http import authorization as authorization
from ._incidents import Incidents as Incidents
from ._progress import Progress as Progress
from ._reading import first_offsets as first_offsets
from ._reading import group_member as group_member
from ._reading import wait_for_topics as wait_for_topics
from ._receivers import RECEIVERS as RECEIVERS
from ._receivers import ReceiverName as ReceiverName
from ._serve import run_process as run_process
from ._serve import serve as serve
from ._serve import serve_incidents as serve_incidents
