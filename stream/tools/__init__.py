"""Tools of the commands that run beside a worker: replay, redrive, state, rebase, lookups."""
