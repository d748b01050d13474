"""Protocol of state and offsets, without I/O: a simulation can drive every class here."""
