"""Way of a record through a worker, from a fetch to the outbox."""
