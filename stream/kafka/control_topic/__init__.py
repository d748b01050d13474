"""Documents of operators in a compacted topic: the ones in force, and the last changes."""
