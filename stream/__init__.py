"""Ember Stream: anomaly detection for keyed telemetry on Kafka."""

import time as _time

STARTED = _time.time()
"""Start of this process after Python's own start-up, in seconds since the epoch."""
