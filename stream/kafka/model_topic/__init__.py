"""Bundles of a group in a compacted topic: chunks, and a manifest that is written after them."""
