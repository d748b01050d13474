"""Checks around a running worker: topics, model, cluster, and whether it still goes on."""
