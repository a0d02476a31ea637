"""Slow versions of fast code, under the same names: what the tests compare with."""
