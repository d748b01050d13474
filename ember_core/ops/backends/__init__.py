"""The operations of each array library: one file a backend, loaded when an array of it is met."""
