"""State of keys: rows in slabs, their layout, eviction, migration, tombstones and snapshots."""
