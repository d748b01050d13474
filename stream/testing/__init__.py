"""Brokers for tests: an embedded broker in a process of its own."""
