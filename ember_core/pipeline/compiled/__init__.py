"""Stages compiled with Numba: the bits of the plain stages, in a fraction of the time.

Importing this package imports Numba. `table` names the compiled form of each stage.
"""
