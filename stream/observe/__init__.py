"""Observability of a worker: metrics, health, logs and traces.

`app.py` connects these to the Kafka worker, which nothing here imports.
"""

from ._bridge_metrics import BridgeMetrics as BridgeMetrics
from ._bridge_metrics import IncidentMetrics as IncidentMetrics
from ._console_metrics import ConsoleMetrics as ConsoleMetrics
from ._mask import in_text as in_text
from ._metric_set import MetricSet as MetricSet
from ._remote_write_metrics import RemoteWriteMetrics as RemoteWriteMetrics
from .health import BridgeHealth as BridgeHealth
from .health import Check as Check
from .health import Health as Health
from .health import Report as Report
from .host import HostMetrics as HostMetrics
from .http import HttpServer as HttpServer
from .learning import LearnObserver as LearnObserver
from .learning import ProfileObservers as ProfileObservers
from .logs import configure as configure_logs
from .metrics import WORKER_UP as WORKER_UP
from .metrics import Metrics as Metrics
from .observer import ServiceObserver as ServiceObserver
from .traces import Traces as Traces
from .traces import make_traces as make_traces

__all__ = [
    "WORKER_UP",
    "BridgeHealth",
    "BridgeMetrics",
    "Check",
    "ConsoleMetrics",
    "Health",
    "HostMetrics",
    "HttpServer",
    "IncidentMetrics",
    "LearnObserver",
    "MetricSet",
    "Metrics",
    "RemoteWriteMetrics",
    "Report",
    "ServiceObserver",
    "Traces",
    "configure_logs",
    "make_traces",
]
