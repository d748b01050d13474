"""`ember console`: pages and HTTP API of recent scores, alerts and documents. Extra `console`.

A composition root of its own, beside `stream.bridge`: it reads topics, keeps recent hours in
memory, and commits nothing.
"""
