"""Ember Stream: anomaly detection for keyed telemetry on Kafka."""

import time as _time

STARTED = _time.time()
"""When this process was asked to start, seconds since the epoch, but for Python's own start."""
