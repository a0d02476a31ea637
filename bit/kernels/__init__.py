"""Loops over events, bins and nodes, compiled by numba; they know arrays and dtypes only."""
