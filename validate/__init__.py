"""Proves, before a merge, that an overlay of this repository will work on its cluster."""
