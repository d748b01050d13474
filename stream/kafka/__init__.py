"""The Kafka side: a worker around one engine, and everything that it is made of.

`worker.Worker` is the front door. The folders stand in the order of their imports: `protocol`
knows no Kafka, `client` is the only one that speaks to a broker, `recovery` and `supervision` stand
beside the stream, `runtime` is the way of a record, and `faust` joins all of it to Faust.
"""
