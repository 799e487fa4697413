"""Proves, before a merge, that an overlay of this repository will work on its cluster."""

__version__ = "0.1.0"
