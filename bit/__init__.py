"""bit: Boosted Information Trees for effective field theories."""

__version__ = "0.1.0"
