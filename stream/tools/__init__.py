"""Tools that operators run beside a worker: replay, redrive, state, rebase, lookups, workers."""
