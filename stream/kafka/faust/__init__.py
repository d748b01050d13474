"""Faust behind the worker: transport of whole fetches, tables of slabs."""
