"""Checks around a running worker: topics, model, cluster and progress."""
