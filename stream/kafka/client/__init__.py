"""Clients of aiokafka: consumer, producers, admin, requests, security, patches."""
