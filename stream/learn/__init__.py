"""Training of the model by the workers: one of them has a process beside it that trains."""
