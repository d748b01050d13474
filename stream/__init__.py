"""Ember Stream: anomaly detection for keyed telemetry on Kafka."""
