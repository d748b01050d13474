"""Kafka side of the service: a worker around one engine, and its parts.

`worker.Worker` is the front door. The folders stand in the order of their imports: `protocol`
knows no Kafka, `client` is the only one that speaks to a broker, `context` holds what every part
needs, `recovery` and `supervision` stand beside the stream, `runtime` is the way of a record, and
`faust` joins all of it to Faust.
"""
